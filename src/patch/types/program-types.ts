import type { InputObject } from '../input-program.js';
import { ObjectTypes } from './object-types.js';

/** The types of the object files of both builds, each read when it is asked for. */
export class ProgramTypes {
  readonly #known = new Map<InputObject, ObjectTypes | undefined>();

  of(object: InputObject): ObjectTypes | undefined {
    if (!this.#known.has(object)) this.#known.set(object, ObjectTypes.read(object.elf));
    return this.#known.get(object);
  }
}
