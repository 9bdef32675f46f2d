/* The sound of the microphone, block by block. */
class Tap extends AudioWorkletProcessor {
  process([[samples]]) {
    if (samples) this.port.postMessage(samples.slice());
    return true;
  }
}
registerProcessor("emofuse-tap", Tap);
