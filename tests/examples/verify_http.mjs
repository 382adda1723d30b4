// Verify a token over the HTTP door, with Node alone.
//
//     node verify_http.mjs [SCOPE...] <token
//
// The value comes by standard input or in JETON_TOKEN. express.mjs and
// fastify.mjs use verify() too. Exit status: 0 VALID, 1 refused, 3 nobody to
// ask.
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { pathToFileURL } from "node:url";

const socketPath = process.env.JETON_HTTP ?? "/run/jeton/jeton-http.sock";
const FIELDS = [
	"WWW-Authenticate",
	"Retry-After",
	"RateLimit",
	"RateLimit-Policy",
];
// jetond ends idle connections after 75 s; ours go before that
const agent = new Agent({ keepAlive: true, maxSockets: 50, timeout: 30_000 });

function ask(body) {
	const options = {
		socketPath,
		agent,
		path: "/v1/verify",
		method: "POST",
		headers: {
			"Content-Type": "application/json",
			"Content-Length": Buffer.byteLength(body),
		},
		signal: AbortSignal.timeout(1000),
	};

	return new Promise((resolve, reject) =>
		request(options, (reply) =>
			reply
				.toArray()
				.then((pieces) =>
					JSON.parse(Buffer.concat(pieces)),
				)
				.then(
					(answer) => resolve([reply, answer]),
					reject,
				),
		)
			.on("error", reject)
			.end(body),
	);
}

// The token in these Authorization headers; two are no token of ours.
export const bearer = (values = []) =>
	/^bearer +(.*)$/is.exec(values.join(", "))?.[1] ?? "";

// { status, answer, fields to pass on }; in doubt 503, never 200.
export async function verify(token, ...scopes) {
	try {
		const body = JSON.stringify({ token, scopes });
		const [{ statusCode: status, headers }, answer] =
			await ask(body);
		const fields = FIELDS.filter(
			(f) => headers[f.toLowerCase()],
		).map((f) => [f, headers[f.toLowerCase()]]);

		return { status, answer, fields: Object.fromEntries(fields) };
	} catch (error) {
		console.error(
			"jeton: the sidecar cannot be asked:",
			error.message,
		);
		return {
			status: 503,
			answer: {
				code: "UNREACHABLE",
				detail: "tokens cannot be verified right now",
			},
			fields: { "Retry-After": "1" },
		};
	}
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
	const token =
		process.env.JETON_TOKEN ??
		readFileSync(0, "utf8").replace(/\n$/, "");
	const { status, answer, fields } = await verify(
		token,
		...process.argv.slice(2),
	);

	if (status === 200)
		console.log(answer.verdict, status, answer.id, fields);
	else
		console.error(
			`refused: ${answer.code} ${status}: ${answer.detail}`,
			fields,
		);
	process.exit(status === 200 ? 0 : status === 503 ? 3 : 1);
}
