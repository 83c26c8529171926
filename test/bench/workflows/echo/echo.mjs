// The same work as the bare pipeline's child does for a line.
export default defineComponent({
  async run({ steps, $ }) {
    await $.respond({ status: 200, body: { echo: steps.trigger.event.body.nonce } })
  },
})
