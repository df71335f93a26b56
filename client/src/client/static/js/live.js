// Subscribes to the ticket events of the tickets service.

const RELOAD_AFTER = 10 * 60_000; // ms in the background

/**
 * Calls `onTicket(ticket)` for each ticket that is listed, edited, reserved or freed after `position`, and
 * `onConnectionChange(isConnected)` when the connection opens or breaks.
 */
export function follow(position, onTicket, onConnectionChange = () => {}) {
  let source;
  let lastPosition = position;

  function open() {
    const query = lastPosition ? `?lastEventId=${encodeURIComponent(lastPosition)}` : "";
    source = new EventSource(`/api/tickets/events${query}`);
    source.onopen = () => onConnectionChange(true);
    source.onerror = () => {
      onConnectionChange(false);
      // EventSource reconnects by itself, but not after an error response such as 503.
      if (source.readyState === EventSource.CLOSED) setTimeout(reopen, 1000 + Math.random() * 2000);
    };
    for (const type of ["ticket.created", "ticket.updated"]) {
      source.addEventListener(type, (event) => {
        lastPosition = event.lastEventId;
        onTicket(JSON.parse(event.data));
      });
    }
  }

  function reopen() {
    source.close();
    if (document.visibilityState === "visible") open();
  }

  // A hidden page closes its connection: a browser allows only six per host.
  let hiddenSince = 0;
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") {
      hiddenSince = Date.now();
      source.close();
    } else if (Date.now() - hiddenSince > RELOAD_AFTER) {
      location.reload();
    } else {
      reopen();
    }
  });
  addEventListener("pagehide", () => source.close());
  open();
}
