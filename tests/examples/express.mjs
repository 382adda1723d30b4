// Express: only requests with a VALID token get past jeton(). It answers 401,
// 403, 429 or 503 itself; behind it, req.jeton says who asks.
//
//     npm install express; PORT=8000 node express.mjs
//     curl -H @- http://127.0.0.1:8000/orders     Authorization: Bearer ...
import express from "express";
import { bearer, verify } from "./verify_http.mjs";

const jeton =
	(...scopes) =>
	async (req, res, next) => {
		const { status, answer, fields } = await verify(
			bearer(req.headersDistinct.authorization),
			...scopes,
		);
		const { code, detail } = answer;

		res.set(fields);
		if (status !== 200)
			return res.status(status).json({ code, detail });
		req.jeton = answer;
		next();
	};

const app = express();
app.get("/orders", jeton("orders:read"), (req, res) =>
	res.json({ id: req.jeton.id, owner: req.jeton.owner }),
);
const server = app.listen(process.env.PORT ?? 8000, "127.0.0.1", () =>
	console.log(`listening on ${server.address().port}`),
);
