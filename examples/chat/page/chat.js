// The page of a room. It keeps each message until the server has acknowledged it, and connects again
// when the connection is lost: then it asks for what it has missed, and sends once more what was not
// acknowledged. Every text of a person gets into the page as a text node only.
"use strict";

const FIRST_PAUSE = 500; // milliseconds
const LONGEST_PAUSE = 15_000;
/** A server that takes longer than this to welcome us is taken for lost. */
const WELCOME_LIMIT = 15_000;
/** Messages of one person within this time stand under one name. */
const GROUP_LIMIT = 5 * 60_000;

const element = (id) => document.getElementById(id);
const room = location.pathname.split("/").pop();

/** What the browser keeps. A window without storage works too, until it is closed. */
const kept = {
  get(storage, key) {
    try { return window[storage].getItem(key); } catch { return null; }
  },
  set(storage, key, value) {
    try { window[storage].setItem(key, value); } catch { /* it is kept as long as the window */ }
  },
};

const randomId = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
};

/** Proves that we are the same person in all windows and after a reconnect. Only the server sees it. */
const token = kept.get("localStorage", "chat-token") ?? randomId();
kept.set("localStorage", "chat-token", token);

let name = kept.get("localStorage", "chat-name");
let ownTag = null;
let socket = null;
let isWelcome = false;
let isStoring = true;
let pause = FIRST_PAUSE;
/** The most bytes of a message. The server says so in its welcome. */
let textBytes = 4096;
let timer = 0;

/** The history that the shown messages are of, and the number of the last one. */
let history = null;
let last = 0;

/** Messages that are not acknowledged, by id, in the order in which they were written. */
const outbox = new Map(JSON.parse(kept.get("sessionStorage", `chat-outbox-${room}`) ?? "[]"));
/** Names by tag. */
const people = new Map();

// ---------- the connection

function connect() {
  clearTimeout(timer);
  showState();
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const opened = new WebSocket(`${scheme}//${location.host}/room/${room}/socket`);
  socket = opened;
  isWelcome = false;
  // As long as the database is away, the server cannot welcome us, and says so.
  timer = setTimeout(() => { if (isStoring) lose(opened); }, WELCOME_LIMIT);
  opened.onopen = () => {
    const known = history === null ? {} : { history, since: last };
    opened.send(JSON.stringify({ type: "hello", name, token, ...known }));
  };
  opened.onmessage = (event) => { if (opened === socket) receive(JSON.parse(event.data)); };
  opened.onclose = (event) => lose(opened, event);
}

/** Forgets a connection and plans the next one, unless the server will never have us like this. */
function lose(lost, event) {
  if (lost !== socket) return;
  clearTimeout(timer);
  socket = null;
  isWelcome = false;
  isStoring = true;
  lost.onclose = null;
  lost.close();
  if (event?.code === 1008) {
    showState(`Disconnected: ${event.reason}.`, "closed");
    if (event.reason.includes("name")) askName(event.reason);
    return;
  }
  // Half of the pause is random, so that not all clients come back at the same moment.
  const wait = pause / 2 + Math.random() * pause / 2;
  pause = Math.min(pause * 2, LONGEST_PAUSE);
  showState();
  timer = setTimeout(connect, wait);
}

const receivers = {
  welcome(welcome) {
    clearTimeout(timer);
    isWelcome = true;
    pause = FIRST_PAUSE;
    ownTag = welcome.tag;
    textBytes = welcome.text_bytes;
    name = welcome.name;
    kept.set("localStorage", "chat-name", name);
    element("new-name").value = name;
    if (!welcome.continues) {
      element("messages").replaceChildren();
      last = 0;
      element("older").hidden = !welcome.has_older;
    }
    history = welcome.history;
    people.clear();
    for (const person of welcome.people) people.set(person.tag, person.name);
    showPeople();
    showState();
    element("empty").hidden = welcome.messages > 0 || element("messages").childElementCount > 0;
    for (const [id, text] of outbox) transmit(id, text);
  },
  message(message) {
    if (message.number <= last) return;
    last = message.number;
    if (message.tag === ownTag) settle(message.id);
    showMessage(message);
  },
  ack(ack) { settle(ack.id); },
  refused(refused) {
    const text = outbox.get(refused.id);
    settle(refused.id);
    showRefused(`Not sent: ${refused.reason}.`);
    if (element("text").value === "" && text !== undefined) element("text").value = text;
  },
  joined(person) { people.set(person.tag, person.name); showPeople(); },
  left(person) { people.delete(person.tag); showPeople(); },
  storage(storage) {
    isStoring = storage.available;
    showState();
    if (isStoring && isWelcome) for (const [id, text] of outbox) transmit(id, text);
  },
};

/** Messages of a later version of the server are ignored. */
const receive = (message) => receivers[message.type]?.(message);

const transmit = (id, text) => {
  if (isWelcome && isStoring) socket.send(JSON.stringify({ type: "message", id, text }));
};

// ---------- messages on their way

function submit(text) {
  const id = randomId();
  outbox.set(id, text);
  keepOutbox();
  showPending();
  transmit(id, text);
  scrollDown();
}

function settle(id) {
  if (!outbox.delete(id)) return;
  keepOutbox();
  showPending();
}

const keepOutbox = () =>
  kept.set("sessionStorage", `chat-outbox-${room}`, JSON.stringify([...outbox]));

// ---------- what is shown

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A colour of the person's own. */
const hue = (tag) => Math.round((parseInt(tag.slice(0, 4), 16) / 0xffff) * 360);

function nameOf(tag, shown) {
  const made = make("span", "name", shown);
  made.style.setProperty("--hue", hue(tag));
  return made;
}

/** The beginning of the tag: it tells two people of the same name apart. */
function markOf(tag) {
  const made = make("span", "tag", tag.slice(0, 4));
  made.title = `This person's tag is ${tag}. Nobody can choose it.`;
  return made;
}

function showMessage(message) {
  const isAtEnd = atEnd();
  const list = element("messages");
  const previous = list.lastElementChild;
  const time = new Date(message.time);
  const day = time.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
  const follows = previous?.dataset.tag === message.tag && previous.dataset.name === message.name
    && previous.dataset.day === day && message.time - Number(previous.dataset.time) < GROUP_LIMIT;
  if (previous !== null ? previous.dataset.day !== day : day !== today()) {
    list.append(make("li", "day", day));
  }
  const item = make("li", "message last");
  Object.assign(item.dataset, { tag: message.tag, name: message.name, time: message.time, day });
  item.classList.toggle("own", message.tag === ownTag);
  if (follows) {
    previous.classList.remove("last");
  } else {
    item.classList.add("first");
    const head = make("div", "head");
    const clock = make("time", "", time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    clock.dateTime = time.toISOString();
    clock.title = time.toLocaleString();
    head.append(nameOf(message.tag, message.name), markOf(message.tag), clock);
    item.append(head);
  }
  item.append(make("div", "text", message.text));
  list.append(item);
  element("empty").hidden = true;
  if (isAtEnd) scrollDown(); else element("newer").hidden = false;
  if (document.hidden && message.tag !== ownTag) showUnread(unread + 1);
}

const today = () =>
  new Date().toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });

function showPending() {
  element("pending").replaceChildren(...[...outbox.values()].map((text) => {
    const item = make("li", "message own first last");
    item.append(make("div", "text", text));
    return item;
  }));
}

function showPeople() {
  const sorted = [...people].sort(([, one], [, other]) => one.localeCompare(other));
  element("list").replaceChildren(...sorted.map(([tag, shown]) => {
    const item = make("li");
    item.append(nameOf(tag, tag === ownTag ? `${shown} (you)` : shown), markOf(tag));
    return item;
  }));
  element("count").textContent = people.size;
}

function showState(text, state) {
  if (state === undefined) {
    if (!isStoring) {
      [text, state] = ["Messages cannot be stored at the moment …", "unavailable"];
    } else if (isWelcome) {
      [text, state] = ["Connected", "open"];
    } else {
      [text, state] = ["Connecting …", "connecting"];
    }
  }
  element("state").textContent = text;
  element("state").dataset.state = state;
  // What is written without a connection waits in the outbox.
  const isEntered = name !== null && state !== "closed";
  element("text").disabled = !isEntered;
  element("send").disabled = !isEntered;
}

function showRefused(text) {
  element("refused").textContent = text;
  element("refused").hidden = text === "";
}

let unread = 0;
function showUnread(count) {
  unread = count;
  document.title = count > 0 ? `(${count}) #${room}` : `#${room}`;
}

const atEnd = () => {
  const scroll = element("scroll");
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
};

const scrollDown = () => {
  element("scroll").scrollTop = element("scroll").scrollHeight;
  element("newer").hidden = true;
};

// ---------- what the person does

function askName(reason) {
  element("name").value = name ?? "";
  element("name").setCustomValidity("");
  if (reason) element("welcome-title").textContent = `Another name, please: ${reason}.`;
  element("welcome").showModal();
}

element("enter").addEventListener("submit", () => {
  name = element("name").value.trim();
  connect();
  element("text").focus();
});
element("welcome").addEventListener("cancel", (event) => event.preventDefault());
for (const input of [element("name"), element("new-name")]) {
  input.addEventListener("input", () => {
    input.setCustomValidity(input.value.trim() === "" ? "A name is needed." : "");
  });
}

element("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = element("text").value.replaceAll("\r", "").trimEnd();
  if (text.trim() === "") return;
  if (new TextEncoder().encode(text).length > textBytes) {
    showRefused(`The message is too long: at most ${textBytes} bytes.`);
    return;
  }
  showRefused("");
  element("text").value = "";
  submit(text);
});

element("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    element("compose").requestSubmit();
  }
});

element("rename").addEventListener("submit", (event) => {
  event.preventDefault();
  name = element("new-name").value.trim();
  // A name belongs to a connection.
  if (socket !== null) {
    pause = 0;
    lose(socket);
    pause = FIRST_PAUSE;
  }
});

element("go").addEventListener("submit", (event) => {
  event.preventDefault();
  location.href = `/room/${encodeURIComponent(element("go-room").value.trim())}`;
});

element("show-people").addEventListener("click", () => {
  const isOpen = element("people").classList.toggle("open");
  element("show-people").setAttribute("aria-expanded", String(isOpen));
});

element("scroll").addEventListener("scroll", () => { if (atEnd()) element("newer").hidden = true; });
element("newer").addEventListener("click", scrollDown);
document.addEventListener("visibilitychange", () => { if (!document.hidden) showUnread(0); });
// The network is back: there is no reason to wait.
window.addEventListener("online", () => { if (socket === null && name !== null) connect(); });

element("room").textContent = room;
showUnread(0);
showPending();
if (name === null) {
  showState("Not connected", "closed");
  askName();
} else {
  connect();
}
