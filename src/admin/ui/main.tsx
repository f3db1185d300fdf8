/** Where the page begins: which role it belongs to, whether it may talk to it, and its frame. */
import "bootstrap/dist/css/bootstrap.min.css";
import "./style.css";
import { render, useEffect } from "hono/jsx/dom";
import { Frame } from "./frame.tsx";
import { followEvents } from "./live.ts";
import { Locked } from "./locked.tsx";
import { Toasts } from "./parts/toasts.tsx";
import { startPeerState } from "./peer-state.ts";
import { role } from "./role.ts";
import { access, openSession } from "./session.ts";
import { useStore } from "./store.ts";

function App() {
  const state = useStore(access);
  useEffect(() => {
    if (state === "open") followEvents();
  }, [state]);
  return (
    <>
      {state === "locked" && <Locked />}
      {state === "open" && <Frame />}
      <Toasts />
    </>
  );
}

await openSession();
if (role === "peer") startPeerState();
render(<App />, document.getElementById("app")!);
