/* The microphone and the camera: one start for both, sound as WAV and pictures as JPEG, and the whole as a file. */

const LONGEST = 5;
/* Seconds of sound that are kept for one turn. */

export class Recorder {
  /** Ask for both, or for what there is. Raises what the browser says where there is neither, or it was refused. */
  static async start() {
    const wishes = [
      { audio: true, video: { width: { ideal: 640 } } },
      { audio: true },
      { video: { width: { ideal: 640 } } },
    ];
    let refused = null;
    for (const wish of wishes) {
      let stream = null;
      try {
        stream = await navigator.mediaDevices.getUserMedia(wish);
        const recorder = new Recorder(stream);
        await recorder.listen();
        return recorder;
      } catch (error) {
        refused ??= error;
        for (const track of stream?.getTracks() ?? []) track.stop();
      }
    }
    throw refused;
  }

  constructor(stream) {
    this.stream = stream;
    this.blocks = [];
    this.parts = [];
    this.hears = stream.getAudioTracks().length > 0;
    this.sees = stream.getVideoTracks().length > 0;
    this.video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, autoplay: true });
    this.video.srcObject = stream;
    this.file = new MediaRecorder(stream);
    this.file.addEventListener("dataavailable", ({ data }) => this.parts.push(data));
    this.file.start(1000);
  }

  async listen() {
    if (!this.hears) return;
    this.audio = new AudioContext();
    await this.audio.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
    await this.audio.resume();
    const tap = new AudioWorkletNode(this.audio, "emofuse-tap");
    tap.port.onmessage = ({ data }) => this.hear(data);
    /* What leads to the speakers is run; the tap hands nothing on, so that nothing is heard. */
    this.audio.createMediaStreamSource(this.stream).connect(tap).connect(this.audio.destination);
  }

  hear(samples) {
    this.blocks.push(samples);
    const most = (LONGEST * this.audio.sampleRate) / samples.length;
    if (this.blocks.length > most) this.blocks.splice(0, this.blocks.length - most);
  }

  /** The sound since last time, as a file; null where there is none. */
  sound() {
    const blocks = this.blocks.splice(0);
    return blocks.length ? new File([wav(blocks, this.audio.sampleRate)], "live.wav", { type: "audio/wav" }) : null;
  }

  /** The picture of this moment, as a file; null where there is none. */
  async picture() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!this.sees || !width) return null;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
    return blob && new File([blob], "live.jpg", { type: "image/jpeg" });
  }

  /** End it; the whole recording. */
  async stop() {
    const ended = new Promise((done) => this.file.addEventListener("stop", done, { once: true }));
    if (this.file.state !== "inactive") this.file.stop();
    else this.file.dispatchEvent(new Event("stop"));
    await ended;
    for (const track of this.stream.getTracks()) track.stop();
    await this.audio?.close();
    const type = this.file.mimeType.split(";")[0];
    const ending = type.endsWith("mp4") ? "mp4" : "webm";
    return new File(this.parts, `recording.${ending}`, { type });
  }
}

/** Blocks of mono samples in [-1, 1] as a WAV file of 16 bits. */
export function wav(blocks, rate) {
  const length = blocks.reduce((sum, block) => sum + block.length, 0);
  const data = new DataView(new ArrayBuffer(44 + 2 * length));
  const text = (at, said) => {
    for (let i = 0; i < said.length; i++) data.setUint8(at + i, said.charCodeAt(i));
  };
  text(0, "RIFF");
  data.setUint32(4, 36 + 2 * length, true);
  text(8, "WAVEfmt ");
  const header = [
    [16, 16, 4],
    [20, 1, 2],
    [22, 1, 2],
    [24, rate, 4],
    [28, 2 * rate, 4],
    [32, 2, 2],
    [34, 16, 2],
  ];
  for (const [at, value, bytes] of header)
    bytes === 4 ? data.setUint32(at, value, true) : data.setUint16(at, value, true);
  text(36, "data");
  data.setUint32(40, 2 * length, true);
  let at = 44;
  for (const block of blocks)
    for (const sample of block) {
      data.setInt16(at, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true);
      at += 2;
    }
  return data.buffer;
}
