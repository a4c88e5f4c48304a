// Shows the newest picture, and asks for the next one when it is there.

const WORDS = {
  en: {
    style: "Style",
    strength: "Strength",
    snapshot: "Save this picture",
    rate: "pictures/s",
    waiting: "Waiting for the first picture …",
    ended: "There are no more pictures.",
    gone: "impasto live has ended.",
    picture: "The camera, repainted",
  },
  de: {
    style: "Stil",
    strength: "Stärke",
    snapshot: "Dieses Bild sichern",
    rate: "Bilder/s",
    waiting: "Das erste Bild kommt gleich …",
    ended: "Es kommen keine Bilder mehr.",
    gone: "impasto live ist beendet.",
    picture: "Die Kamera, neu gemalt",
  },
};

const language = navigator.language.startsWith("de") ? "de" : "en";
const words = WORDS[language];
const find = (id) => document.getElementById(id);
const number = (value, digits) =>
  value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

document.documentElement.lang = language;
for (const place of document.querySelectorAll("[data-word]")) {
  place.textContent = words[place.dataset.word];
}
find("picture").alt = words.picture;
find("notice").textContent = words.waiting;
find("snapshot").hidden = true;

async function asked(request) {
  const answer = await request;
  if (!answer.ok) {
    throw new Error(answer.statusText);
  }
  return answer;
}

function showStrength() {
  find("shown").textContent = `${number(100 * find("strength").value, 0)} %`;
}

function showChoice(state) {
  find("style").value = state.style;
  find("strength").value = state.strength;
  showStrength();
}

// One question at a time: a slider that is moved asks again with its last place only.
let choosing = false;
let again = false;

async function choose() {
  showStrength();
  again = true;
  if (choosing) {
    return;
  }
  choosing = true;
  try {
    while (again) {
      again = false;
      const body = { style: find("style").value, strength: Number(find("strength").value) };
      await asked(
        fetch("state", {
          method: "PUT",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(body),
        }),
      );
    }
  } catch {
    find("notice").textContent = words.gone;
  } finally {
    choosing = false;
  }
}

async function look() {
  let seen = -1;
  let shown = "";
  for (;;) {
    const answer = await asked(fetch(`picture?after=${seen}`));
    if (answer.status === 204) {
      const state = await (await asked(fetch("state"))).json();
      find("notice").textContent = state.fault ?? (state.ended ? words.ended : "");
      if (state.ended) {
        find("rate").textContent = "";
        return;
      }
      continue;
    }
    seen = Number(answer.headers.get("X-Number"));
    const address = URL.createObjectURL(await answer.blob());
    find("picture").src = address;
    await find("picture").decode().catch(() => {});
    URL.revokeObjectURL(shown);
    shown = address;
    find("picture").hidden = find("snapshot").hidden = false;
    find("rate").textContent = `${number(Number(answer.headers.get("X-Rate")), 1)} ${words.rate}`;
    const fault = decodeURIComponent(answer.headers.get("X-Fault") ?? "");
    if (fault && fault !== find("notice").textContent) {
      // It goes on with what was chosen before.
      showChoice(await (await asked(fetch("state"))).json());
    }
    find("notice").textContent = fault;
  }
}

try {
  const state = await (await asked(fetch("state"))).json();
  // Paintings are shown by their files' names, unless two have the same.
  const short = state.styles.map((name) => name.split(/[/\\]/).pop());
  const shown = (name, place) =>
    short.indexOf(short[place]) === short.lastIndexOf(short[place]) ? short[place] : name;
  find("style").replaceChildren(
    ...state.styles.map((name, place) => new Option(shown(name, place), name)),
  );
  showChoice(state);
  find("style").addEventListener("change", choose);
  find("strength").addEventListener("input", choose);
  await look();
} catch {
  find("notice").textContent = words.gone;
  find("rate").textContent = "";
}
