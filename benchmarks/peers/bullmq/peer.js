// BullMQ on Redis, a job per mail, nodemailer's own pool: `node peer.js COMMAND`.
// Its commands are those of ../python/program.py: post prints the seconds since the epoch at its first enqueue, and unfinished the number of mails that are not
// recorded as sent.
const { readFileSync } = require("fs");
const { Queue, Worker } = require("bullmq");
const { createTransport } = require("nodemailer");

const { PEER_REDIS_URL, PEER_PREFIX, PEER_MAILS, PEER_SMTP_HOST, PEER_SMTP_PORT, PEER_CONNECTIONS } = process.env;
const BATCH = 500;
const NAME = "mails";
const SENDER = { name: "Waypost", address: "no-reply@waypost.example" };
const { hostname, port, pathname } = new URL(PEER_REDIS_URL);
const options = {
  prefix: PEER_PREFIX,
  connection: { host: hostname, port: Number(port || 6379), db: Number(pathname.slice(1) || 0), maxRetriesPerRequest: null },
};

function work() {
  const pool = createTransport({
    host: PEER_SMTP_HOST,
    port: Number(PEER_SMTP_PORT),
    ignoreTLS: true,
    pool: true,
    maxConnections: Number(PEER_CONNECTIONS),
    maxMessages: Infinity,
  });
  const send = (job) => pool.sendMail({ from: SENDER, ...job.data });
  // Twice as many jobs at once as connections, so that none waits for the next mail to be built.
  new Worker(NAME, send, { ...options, concurrency: Number(PEER_CONNECTIONS) }).on("error", console.error);
}

function orders(series, count) {
  const samples = readFileSync(PEER_MAILS, "utf8").trim().split("\n").map((line) => JSON.parse(line));
  return Array.from({ length: count }, (_, number) => {
    const { recipient, subject, text, html } = samples[number % samples.length];
    const to = { name: recipient.name, address: `${series}-${number}@northwind.example` };
    return { name: "order-confirmation", data: { to, subject, text, html } };
  });
}

async function post(queue, series, count) {
  const all = orders(series, Number(count));
  await queue.waitUntilReady();
  console.log(Date.now() / 1000);
  for (let start = 0; start < all.length; start += BATCH) await queue.addBulk(all.slice(start, start + BATCH));
}

async function unfinished(queue) {
  const counts = await queue.getJobCounts("wait", "active", "delayed", "prioritized", "failed");
  console.log(Object.values(counts).reduce((sum, one) => sum + one));
}

async function main([command, ...rest]) {
  if (command === "work") return work();
  const queue = new Queue(NAME, {
    ...options,
    defaultJobOptions: {
      attempts: 3,
      backoff: { type: "exponential", delay: 1000 },
      removeOnComplete: { count: 1000 },
      removeOnFail: { count: 5000 },
    },
  });
  const commands = { prepare: () => {}, post, unfinished, clean: () => queue.obliterate({ force: true }) };
  await commands[command](queue, ...rest);
  await queue.close();
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
