// Verify a token with node-redis 6 over the Redis door.
//
//     npm install redis; node verify_node_redis.mjs [SCOPE...] <token
//
// The value comes by standard input or in JETON_TOKEN. Exit status: 0 VALID,
// 1 refused, 3 nobody to ask.
import { readFileSync } from "node:fs";
import { createClient } from "redis";

const client = createClient({
	disableOfflineQueue: true, // without a connection: an error, no waiting
	socket: {
		path: process.env.JETON_SOCK ?? "/run/jeton/jeton.sock",
		socketTimeout: 1000,
		reconnectStrategy: false, // a service leaves this line out
	},
});
client.on("error", () => {}); // the calls below throw it too

const token =
	process.env.JETON_TOKEN ?? readFileSync(0, "utf8").replace(/\n$/, "");
const scopes = process.argv.slice(2).flatMap((scope) => ["SCOPE", scope]);

try {
	await client.connect();
	const [word, status, id, , , , , retryAfterMs, , , notes] =
		await client.sendCommand(["VERIFY", token, ...scopes]);

	console.log(word, status, id, `retry_after_ms=${retryAfterMs}`, notes);
	process.exit(word === "VALID" ? 0 : 1);
} catch (error) {
	console.error(`refused: the sidecar cannot be asked: ${error.message}`);
	process.exit(3);
}
