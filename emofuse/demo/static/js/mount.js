/* Mounting: a part of the page drawn into one of Gradio's HTML components, whose template is an empty element. */
import { onLanguage } from "./language.js";

/** Draw at once, and again when the value or the language changes. Gradio leaves what is drawn alone, since the
 *  template's own HTML never changes. */
export function mount({ element, props, watch }, draw, resized = null) {
  const root = element.querySelector(".emo-root");
  const again = () => draw(root, props.value);
  onLanguage(() => root.isConnected && again());
  watch("value", again);
  again();
  if (!resized) return;
  let width = root.clientWidth;
  new ResizeObserver(() => {
    if (!root.clientWidth || Math.abs(root.clientWidth - width) <= 4) return;
    width = root.clientWidth;
    resized(root, props.value);
  }).observe(root);
}
