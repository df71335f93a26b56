// What happens to tickets, as it happens: the stream of the tickets service, from where this page stands.

const LONG = 10 * 60_000;

/**
 * Calls `tell(ticket)` for each ticket that is listed, edited, reserved or freed after `position`, and
 * `connected(yes)` as the stream comes and goes.
 */
export function follow(position, tell, connected = () => {}) {
  let source;
  let last = position;

  function open() {
    const from = last ? `?lastEventId=${encodeURIComponent(last)}` : "";
    source = new EventSource(`/api/tickets/events${from}`);
    source.onopen = () => connected(true);
    source.onerror = () => {
      connected(false);
      // It tries again by itself, but not after an answer that is no stream: a 503, say.
      if (source.readyState === EventSource.CLOSED) setTimeout(reopen, 1000 + Math.random() * 2000);
    };
    for (const kind of ["ticket.created", "ticket.updated"]) {
      source.addEventListener(kind, (event) => {
        last = event.lastEventId;
        tell(JSON.parse(event.data));
      });
    }
  }

  function reopen() {
    source.close();
    if (document.visibilityState === "visible") open();
  }

  // A page that nobody sees needs no connection, of which a browser has six for a host.
  let left = 0;
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") {
      left = Date.now();
      source.close();
    } else if (Date.now() - left > LONG) {
      location.reload();
    } else {
      reopen();
    }
  });
  addEventListener("pagehide", () => source.close());
  open();
}
