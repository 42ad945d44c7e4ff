// The square on a letter carries its code after the # of the address, which no server sees: put it into the field.

const field = document.getElementById("letter-code");
const code = decodeURIComponent(location.hash.slice(1));

if (field && /^[0-9A-Z-]{20,29}$/.test(code)) {
  field.value = code;
  history.replaceState(null, "", location.pathname);
}
