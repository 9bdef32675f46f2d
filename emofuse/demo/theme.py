"""The theme: quiet paper, one accent, the fonts that the visitor's system has."""

from __future__ import annotations

from typing import Any

from gradio.themes.base import Base

SANS = ("system-ui", "-apple-system", "Segoe UI", "Noto Sans", "Helvetica Neue", "Noto Sans CJK SC", "sans-serif")
MONO = ("ui-monospace", "Cascadia Mono", "Menlo", "DejaVu Sans Mono", "monospace")


def theme() -> Any:
    """Gradio's plain theme in the colours of the page; no font comes from anywhere."""
    plain = Base(primary_hue="indigo", secondary_hue="indigo", neutral_hue="slate", radius_size="lg",
                 font=list(SANS), font_mono=list(MONO))  # fmt: skip
    return plain.set(
        body_background_fill="#f5f7fa", body_background_fill_dark="#10141b",
        background_fill_primary="#ffffff", background_fill_primary_dark="#171d26",
        background_fill_secondary="#f5f7fa", background_fill_secondary_dark="#10141b",
        block_background_fill="#ffffff", block_background_fill_dark="#171d26",
        block_border_width="1px", block_border_color="#dde3ea", block_border_color_dark="#2c3644",
        border_color_primary="#dde3ea", border_color_primary_dark="#2c3644",
        body_text_color="#17202c", body_text_color_dark="#eef2f7",
        body_text_color_subdued="#5d6b7c", body_text_color_subdued_dark="#9daabb",
        block_label_text_color="#415062", block_label_text_color_dark="#b8c4d2",
        block_title_text_color="#17202c", block_title_text_color_dark="#eef2f7",
        button_primary_background_fill="#2b4fd0", button_primary_background_fill_hover="#2141b3",
        button_primary_background_fill_dark="#4a6cf0", button_primary_background_fill_hover_dark="#5f7ef5",
        button_primary_text_color="#ffffff", button_primary_text_color_dark="#ffffff",
        input_background_fill="#ffffff", input_background_fill_dark="#10141b", block_shadow="none",
    )  # fmt: skip
