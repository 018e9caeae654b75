import { chooseVariant, type DeviceVerdict } from "./choose-variant";
import { findWrongKernel, type SelfTestSubject } from "./self-test";

/**
 * The self-test: the best variant, up to the subject's own, that computes right.
 * Errors: `device_incorrect` where none does, and what compiling and the device throw.
 */
export function judgeDevice(subject: SelfTestSubject): Promise<DeviceVerdict> {
  return chooseVariant(subject.variant, (variant) => findWrongKernel({ ...subject, variant }));
}

export type JudgeDevice = typeof judgeDevice;
