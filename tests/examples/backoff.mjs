// A client of a protected API that waits as long as it is told, and bounded.
//
//     node backoff.mjs http://127.0.0.1:8000/orders <token
//
// The value comes by standard input or in JETON_TOKEN. After 429 or 503 it
// waits what Retry-After says and, so that many clients do not come back at
// once, a random part of a span that doubles. Exit status: 0 answered,
// 1 refused.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const TRIES = 6,
	BASE_MS = 500,
	CAP_MS = 10_000,
	PATIENCE_MS = 60_000;

// Retry-After is a number of seconds or a date.
function toldMs(value) {
	if (/^\d+$/.test(value)) return 1000 * value;
	return Math.max(0, Date.parse(value) - Date.now()) || 0;
}

async function get(url, token) {
	const end = performance.now() + PATIENCE_MS;

	for (let n = 1; ; n++) {
		const reply = await fetch(url, {
			headers: { Authorization: `Bearer ${token}` },
			redirect: "manual",
			signal: AbortSignal.timeout(10_000),
		});
		const jitter =
			Math.random() *
			Math.min(CAP_MS, BASE_MS * 2 ** (n - 1));
		// a timer may fire a millisecond early
		const wait =
			toldMs(reply.headers.get("Retry-After")) + jitter + 1;

		if (![429, 503].includes(reply.status) || n === TRIES)
			return reply;
		if (performance.now() + wait > end) return reply;
		console.error(`${n}: waiting ${(wait / 1000).toFixed(1)} s`);
		await sleep(wait);
	}
}

const token =
	process.env.JETON_TOKEN ?? readFileSync(0, "utf8").replace(/\n$/, "");
const reply = await get(process.argv[2], token);

if (reply.ok) {
	process.stdout.write(await reply.text());
} else {
	const told = reply.headers.get("Retry-After") ?? "none";

	console.error(`gave up: ${reply.status}, Retry-After: ${told}`);
	process.exitCode = 1;
}
