// Makes the page more comfortable. Everything works without it.
"use strict";

const MAX_PICTURE = 2 * 1024 * 1024;
const form = document.getElementById("write");
const message = document.getElementById("message");
const picture = document.getElementById("picture");
const preview = document.getElementById("preview");
const count = document.getElementById("count");

// Says how many characters are left, once they become few.
function showCount() {
  const left = Number(count.dataset.max) - [...message.value.trim()].length;
  count.textContent = left > 200 ? "" : left >= 0 ? `${left} left` : `${-left} too many`;
}

// Shows or removes the sentence beside a field, as the server does.
function setProblem(field, text) {
  const id = `${field.id}-problem`;
  document.getElementById(id)?.remove();
  field.toggleAttribute("aria-invalid", false);
  if (text) {
    const sentence = document.createElement("p");
    sentence.className = "problem";
    sentence.id = id;
    sentence.textContent = text;
    field.parentElement.append(sentence);
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", id);
  }
}

// Shows the chosen picture, and refuses one that is too large before it is sent.
function showPicture() {
  URL.revokeObjectURL(preview.src);
  const file = picture.files[0];
  const isTooLarge = file !== undefined && file.size > MAX_PICTURE;
  setProblem(picture, isTooLarge ? "Please choose a picture of at most 2 MiB." : "");
  preview.hidden = file === undefined || isTooLarge;
  if (!preview.hidden) preview.src = URL.createObjectURL(file);
}

message.addEventListener("input", showCount);
picture.addEventListener("change", showPicture);
preview.addEventListener("error", () => { preview.hidden = true; });
for (const field of [form.elements.name, message]) {
  field.addEventListener("input", () => setProblem(field, ""), { once: true });
}

form.addEventListener("submit", (event) => {
  if (picture.files[0]?.size > MAX_PICTURE) {
    event.preventDefault();
    picture.focus();
    return;
  }
  form.querySelector("button").disabled = true;
});

// A page that the browser brings back may send its form again.
addEventListener("pageshow", () => { form.querySelector("button").disabled = false; });

// Times of the visitor's own time zone.
const format = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" });
for (const time of document.querySelectorAll("time")) {
  time.textContent = format.format(new Date(time.dateTime));
}

showCount();
document.querySelector("[aria-invalid]")?.focus();
