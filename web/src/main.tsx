import { render } from "preact";
import { Account } from "./pages/account";
import { Landing } from "./pages/landing";
import { RoomPage } from "./pages/room";
import { StreamPage } from "./pages/stream";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/room.css";
import { Header } from "./ui/header";
import { followLinks, route } from "./ui/router";
import { Toasts } from "./ui/toasts";

function Page() {
  const now = route.value;
  switch (now.page) {
    case "landing":
      return <Landing />;
    case "room":
      return <RoomPage key={now.id} id={now.id} />;
    case "stream":
      return <StreamPage key={now.id} id={now.id} />;
    case "account":
      return <Account />;
    default:
      return (
        <div class="page">
          <Header />
          <main class="narrow">
            <section class="card door">
              <h1>Nothing is here</h1>
              <p class="muted">The link may be mistyped.</p>
              <a class="button primary wide" href="/">
                To the front page
              </a>
            </section>
          </main>
        </div>
      );
  }
}

const root = document.getElementById("app");
if (root !== null) {
  root.replaceChildren();
  followLinks();
  render(
    <>
      <Page />
      <Toasts />
    </>,
    root,
  );
}
