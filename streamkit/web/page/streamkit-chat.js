/**
 * The chat component, for any page:
 *
 *     <script type="module" src="https://relay.example/streamkit-chat.js"></script>
 *     <streamkit-chat src="https://relay.example/streams"></streamkit-chat>
 */

import { StreamkitChat } from "./chat/element.js";

if (!customElements.get("streamkit-chat")) customElements.define("streamkit-chat", StreamkitChat);

export { StreamkitChat };
