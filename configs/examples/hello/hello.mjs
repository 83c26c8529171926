// Greets whoever called, and shows what a step sees of the request.
export default defineComponent({
  props: {
    greeting: { type: "string", default: "Hello" },
  },

  async run({ steps, $ }) {
    const { method, path, query, body } = steps.trigger.event;
    const name = body?.name ?? query?.name ?? "world";

    console.log(`greeting ${name}`); // kept with the run: see `behalf runs show`
    $.respond({ status: 200, body: { message: `${this.greeting}, ${name}!`, you_sent: { method, path, query, body } } });
  },
});
