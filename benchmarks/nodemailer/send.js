// Sends mails over nodemailer's own pool and prints the seconds it took.
// node send.js MAILS.jsonl HOST PORT CONNECTIONS REPEATS; a line is {from, to, subject, text, html}.
const { readFileSync } = require("fs");
const { createTransport } = require("nodemailer");

const [file, host, port, connections, count] = process.argv.slice(2);
const mails = readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line));
const pool = createTransport({
  host,
  port: Number(port),
  ignoreTLS: true,
  pool: true,
  maxConnections: Number(connections),
  maxMessages: Infinity,
});

async function sendAll(number) {
  let next = 0;
  const one = async () => {
    while (next < number) await pool.sendMail(mails[next++ % mails.length]);
  };
  // Twice as many at once as connections, so that none waits for the next mail to be built.
  await Promise.all(Array.from({ length: 2 * Number(connections) }, one));
}

(async () => {
  await sendAll(mails.length); // warm-up: the engine compiles, the connections open
  const began = process.hrtime.bigint();
  await sendAll(Number(count));
  console.log(Number(process.hrtime.bigint() - began) / 1e9);
  pool.close();
})();
