// ioredis 6: hello 3 in small letters, CLIENT SETINFO twice, then INFO until
// it says loading:0.
import { Redis } from "ioredis";
import { session } from "./session.mjs";

let lost = 0;
const client = new Redis({
	path: process.env.JETON_SOCK,
	lazyConnect: true,
	retryStrategy: () => 50,
});
client.on("error", () => {});
client.on("reconnecting", () => lost++);

await session({
	connect: () => client.connect(),
	call: (...words) => client.call(...words),
	pipeline: async (commands) => {
		const pipe = client.pipeline();

		for (const [name, ...args] of commands) pipe.call(name, ...args);
		return (await pipe.exec()).map(([error, reply]) => {
			if (error) throw error;
			return reply;
		});
	},
	reconnects: () => lost,
	close: () => client.quit(),
});
