// Verifies deliveries, one JSON object a line on standard input: {secret, headers, body}; each gets one line of answer.
import * as readline from "node:readline";
import { Webhook } from "standardwebhooks";

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  let answer;
  try {
    answer = { event: new Webhook(secret).verify(body, headers) };
  } catch (error) {
    answer = { refused: error.name, said: error.message };
  }
  console.log(JSON.stringify(answer));
}
