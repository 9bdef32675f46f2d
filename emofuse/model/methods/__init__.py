"""Methods of fusion that papers compare with: one file each, written from the papers' equations."""
