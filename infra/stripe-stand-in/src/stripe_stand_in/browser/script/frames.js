// The frames that hold the stand-in's own pages, and the talk with them.

const ORIGIN = new URL(document.currentScript.src).origin;
const PATIENCE_MS = 5000;

// A site's policy may forbid style attributes and style elements; setting properties is always allowed.
function style(node, properties) {
  for (const [name, value] of Object.entries(properties)) node.style.setProperty(name, value, 'important');
}

// Puts a page into `parent`. Each frame has a channel of its own, and its other end is handed to this frame's window
// only while that shows a page of the stand-in's: nobody else can speak or listen. `hear` names what the page says.
function openFrame(parent, page, title, hear) {
  const { port1: port, port2: theirs } = new MessageChannel();
  const waiting = new Map();
  let asked = 0;
  let connected = false;
  let broken = false;

  port.onmessage = ({ data }) => {
    connected = true;
    if (data.answerTo) {
      waiting.get(data.answerTo).resolve(data.answer);
      waiting.delete(data.answerTo);
    } else {
      hear[data.event]?.(data.detail);
    }
  };

  const frame = document.createElement('iframe');
  frame.src = `${ORIGIN}/v3/${page}`;
  frame.title = title;
  // A frame whose color scheme is not its page's gets an opaque background; the pages are all light.
  style(frame, { 'border': '0', 'color-scheme': 'light', 'display': 'block', 'width': '100%' });
  frame.addEventListener('load', () => frame.contentWindow.postMessage('connect', ORIGIN, [theirs]), { once: true });
  // The browser may or may not say that a page could not be loaded; that it says nothing is certain.
  const patience = setTimeout(() => {
    broken = !connected;
    if (broken) for (const { resolve } of waiting.values()) resolve({ error: UNREACHABLE });
  }, PATIENCE_MS);
  parent.append(frame);

  return {
    frame,
    tell: (name, detail) => port.postMessage({ name, detail }),
    ask(name, detail) {
      if (broken) return Promise.resolve({ error: UNREACHABLE });
      asked += 1;
      port.postMessage({ name, detail, id: asked });
      return new Promise((resolve, reject) => waiting.set(asked, { resolve, reject }));
    },
    close() {
      clearTimeout(patience);
      port.onmessage = null;
      port.close();
      frame.remove();
      for (const { reject } of waiting.values()) reject(new IntegrationError('Its frame was removed before the answer.'));
    },
  };
}
