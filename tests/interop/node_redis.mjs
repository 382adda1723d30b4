// node-redis 6: opens with HELLO 3 and never connects on an error.
import { createClient } from "redis";
import { session } from "./session.mjs";

let lost = 0;
const client = createClient({
	socket: { path: process.env.JETON_SOCK, reconnectStrategy: () => 50 },
});
client.on("error", () => {}); // told of every lost connection
client.on("reconnecting", () => lost++);

await session({
	connect: () => client.connect(),
	call: (...words) => client.sendCommand(words),
	pipeline: (commands) =>
		Promise.all(commands.map((words) => client.sendCommand(words))),
	reconnects: () => lost,
	close: () => client.close(),
});
