// The gate of an MLP: activation(gate) * up, with SiLU or GELU by tanh.
const ACTIVATION_SILU = 0u;

fn activation_gate(activation: u32, gate: f32, up: f32) -> f32 {
  if (activation == ACTIVATION_SILU) {
    return gate / (1.0 + exp(-gate)) * up;
  }
  // tanh of a large argument is NaN on some adapters; it is 1 to the last bit of f32 from 9.1 on.
  let inner = clamp(0.7978845608028654 * (gate + 0.044715 * gate * gate * gate), -12.0, 12.0);
  return 0.5 * gate * (1.0 + tanh(inner)) * up;
}
