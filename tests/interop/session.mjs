// What both Node clients are put through; `api` hides how they spell it.
//
// The test that started us (tests/e2e/test_clients.py) restarts jetond between
// our lines RESTART and its line "go". The token comes by standard input: a
// value never stands in a command line.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => (await lines.next()).value;

function assertVerdict(reply, word, token) {
	assert.ok(Array.isArray(reply), String(reply));
	assert.equal(reply.length, 11);
	for (const i of [0, 2, 8, 10]) assert.equal(typeof reply[i], "string");
	for (const i of [1, 3, 4, 5, 6, 7, 9])
		assert.equal(typeof reply[i], "number");
	assert.equal(reply[0], word);
	if (word === "VALID") {
		assert.equal(reply[1], 200);
		assert.equal(reply[2], token.slice(0, 24));
	}
}

export async function session(api) {
	const token = await next();

	await api.connect();
	assertVerdict(await api.call("VERIFY", token), "VALID", token);
	assertVerdict(await api.call("VERIFY", token.slice(1)), "MALFORMED");
	assertVerdict(
		await api.call("VERIFY", token, "ENV", "other"),
		"WRONG_ENVIRONMENT",
	);
	const two = await api.call("MVERIFY", "2", token, "");
	assertVerdict(two[0], "VALID", token);
	assertVerdict(two[1], "MISSING");
	await assert.rejects(api.call("GET", "x"), /unknown command/);
	await assert.rejects(api.call("VERIFY", token, "COST", "x"), /ERR/);
	assert.equal(await api.call("PING"), "PONG");

	const replies = await api.pipeline(
		Array.from({ length: 1000 }, (_, i) => [
			"VERIFY",
			i % 10 ? token : "",
		]),
	);
	assert.equal(replies.length, 1000);
	replies.forEach((r, i) =>
		assertVerdict(r, i % 10 ? "VALID" : "MISSING", token),
	);

	console.log("RESTART");
	assert.equal(await next(), "go");
	// the client has noticed by itself and queues until it is connected
	assertVerdict(await api.call("VERIFY", token), "VALID", token);
	assert.ok(api.reconnects() > 0, "it never lost the connection");
	await api.close();
	console.log("DONE");
	process.exit(0);
}
