// What the phone remembers, in IndexedDB: its key, the last answer about passes, the clock's offset. UX "The pass page".
// One object store, one row a subject. A browser that keeps nothing throws; keys.js turns that into words.

const NAME = "portillon";
const ROWS = "rows";

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(ROWS);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("blocked"));
  });
}

async function transact(mode, act) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(ROWS, mode, { durability: "strict" });
      const request = act(transaction.objectStore(ROWS));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

export const read = (name) => transact("readonly", (rows) => rows.get(name));
export const write = (name, value) => transact("readwrite", (rows) => rows.put(value, name));
export const forget = () => transact("readwrite", (rows) => rows.clear());
