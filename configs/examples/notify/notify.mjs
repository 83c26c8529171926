// Posts the text of the request to the inbox of the practice app, as the end user of this run.
export default defineComponent({
  props: {
    // An account of the app `practice`. The workflow says whose: see `accounts` in workflow.yaml.
    practice: { type: "app", app: "practice" },
  },

  async run({ steps, $ }) {
    const text = steps.trigger.event.body?.text;
    if (typeof text !== "string" || text === "") {
      // An answer of our own ends the run well: nothing failed, the caller just has to ask better.
      $.respond({ status: 422, body: { ok: false, error: 'send JSON such as {"text": "Hello"}' } });
      return $.flow.exit("the request had no text");
    }

    // The token of this user: it came from the credential store for this run, and no other run sees it.
    const { base_url, oauth_access_token } = this.practice.$auth;
    const response = await fetch(`${base_url}/messages`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${oauth_access_token}`,
        "content-type": "application/json",
        // The same for every attempt of this step: tried again after a crash, it still makes one message.
        "idempotency-key": $.context.idempotency_key,
      },
      body: JSON.stringify({ text }),
    });
    if (!response.ok) {
      // A thrown error fails the step, and a waiting caller reads it.
      throw new Error(`practice answered ${response.status}: ${await response.text()}`);
    }

    const message = await response.json();
    $.respond({ status: 200, body: { ok: true, message_id: message.id, delivered_to: message.user } });
    return message; // kept with the run: see `behalf runs show`
  },
});
