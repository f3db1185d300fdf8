/** The entry of the page: finds out its role, obtains a token and draws the frame. */
import "bootstrap/dist/css/bootstrap.min.css";
import "./style.css";
import { render } from "hono/jsx/dom";
import { Frame } from "./frame.tsx";
import { followEvents } from "./live.ts";
import { Locked } from "./locked.tsx";
import { Toasts } from "./parts/toasts.tsx";
import { startPeerState } from "./peer-state.ts";
import { role } from "./role.ts";
import { access, openSession } from "./session.ts";
import { useStore } from "./store.ts";
import { useEffect } from "./view-state.ts";

function App() {
  const state = useStore(access);
  useEffect(() => {
    if (state === "open") followEvents();
  }, [state]);
  return (
    <div class="app">
      {state === "locked" && <Locked />}
      {state === "open" && <Frame />}
      <Toasts />
    </div>
  );
}

await openSession();
if (role === "peer") startPeerState();
render(<App />, document.getElementById("app")!);
