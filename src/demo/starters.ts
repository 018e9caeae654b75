export interface Starter {
  /** What the card says; the prompt itself may be much longer. */
  readonly title: string;
  readonly hint: string;
  readonly prompt: string;
}

const TWO_STORIES = `In a forest there lived a quiet sailor. His name was Toby. His best friend was a dolphin named Amy. Soon it would be the birthday of Amy. Toby wanted to make a gift. On a foggy morning, he went to the pond and found a yellow kite. Toby put the kite in a box and tied it with a ribbon. "Happy birthday!" said Toby. Amy was surprised and happy. "A yellow kite! Thank you!" Toby was very happy. From that day on, Toby and Amy were best friends.
Once there was a lonely tiger called Zoe who lived in a park. More than anything, Zoe wanted to bake bread. But every time she tried, it went wrong. On a rainy morning, she went to the lake to try again. Then she met a fox named Lily. "Do not give up," said Lily. "I will teach you to bake bread." Day after day they practiced by the lake. At first it was hard. Zoe tried again and again. Then one day it worked. Zoe could bake bread! Zoe was very proud. From that day on, Zoe and Lily were best friends.`;

/** Prompts that the embedded model answers well. */
export const STARTERS: readonly Starter[] = [
  {
    title: "Tell me a story about a brave fox.",
    hint: "A new one each time",
    prompt: "Tell me a story about a brave fox.",
  },
  {
    title: "Read two stories, then say what Zoe wanted to learn.",
    hint: "A long prompt: the answer is inside it",
    prompt: `Read these stories.\n${TWO_STORIES}\nWhat did Zoe want to learn?`,
  },
  { title: "What is three plus four?", hint: "Small sums", prompt: "What is three plus four?" },
  { title: "Name four animals.", hint: "Animals, opposites, counting", prompt: "Name four animals." },
];
