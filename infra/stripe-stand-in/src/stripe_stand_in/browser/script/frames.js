// Frames with the stand-in's own pages, and the messages between the script and these pages.

const ORIGIN = new URL(document.currentScript.src).origin;
const LOAD_TIMEOUT_MS = 5000;

// A site's policy may forbid style attributes and style elements, but not setting properties.
function setStyle(node, properties) {
  for (const [name, value] of Object.entries(properties)) node.style.setProperty(name, value, 'important');
}

// Adds a frame with a page to `parent`. Each frame has its own channel. Its other port goes only to this frame's
// window, and only while the window shows a page of the stand-in, so that no other page can send or receive.
// `handlers`: by the name of the event that the page sends.
function openFrame(parent, page, title, handlers) {
  const { port1: port, port2: framePort } = new MessageChannel();
  const pending = new Map();
  let requests = 0;
  let connected = false;
  let unreachable = false;

  port.onmessage = ({ data }) => {
    connected = true;
    if (data.answerTo) {
      pending.get(data.answerTo).resolve(data.answer);
      pending.delete(data.answerTo);
    } else {
      handlers[data.event]?.(data.detail);
    }
  };

  const frame = document.createElement('iframe');
  frame.src = `${ORIGIN}/v3/${page}`;
  frame.title = title;
  // The pages are light. A frame with another color scheme than its page gets an opaque background.
  setStyle(frame, { 'border': '0', 'color-scheme': 'light', 'display': 'block', 'width': '100%' });
  frame.addEventListener('load', () => frame.contentWindow.postMessage('connect', ORIGIN, [framePort]), { once: true });
  // Not every browser reports a page that cannot be loaded; such a page never connects.
  const timeout = setTimeout(() => {
    unreachable = !connected;
    if (unreachable) for (const { resolve } of pending.values()) resolve({ error: UNREACHABLE });
  }, LOAD_TIMEOUT_MS);
  parent.append(frame);

  return {
    frame,
    send: (name, detail) => port.postMessage({ name, detail }),
    request(name, detail) {
      if (unreachable) return Promise.resolve({ error: UNREACHABLE });
      requests += 1;
      port.postMessage({ name, detail, id: requests });
      return new Promise((resolve, reject) => pending.set(requests, { resolve, reject }));
    },
    close() {
      clearTimeout(timeout);
      port.onmessage = null;
      port.close();
      frame.remove();
      for (const { reject } of pending.values()) reject(new IntegrationError('The frame was removed before its answer.'));
    },
  };
}
