// The field of one node: what each of its positions and neurons sees of the input, and what sees each pixel.

import {checkIndex} from "./dependency.js";

export class Field {
  /** Of the neurons' dependency and the positions', which axes hold channels, and what is read on an unbounded input. */
  constructor({neurons, positions, channelAxis, inputChannelAxis, nominal, looks}) {
    Object.assign(this, {neurons, positions, channelAxis, inputChannelAxis, nominal, looks});
    this.shape = neurons.from.shape;
    this.inputShape = neurons.to.shape;
    this.positionShape = positions.from.shape;
    this.pixelShape = positions.to.shape;
  }

  /** The pixels, in any channel, that any channel at a position sees. */
  seenFrom(position) {
    return this.positions.seen(position);
  }

  /** The elements of the input that one neuron sees. */
  neuronSeenFrom(neuron) {
    return this.neurons.seen(neuron);
  }

  /** The positions that see a pixel. */
  seers(pixel) {
    return this.positions.transposed.seen(pixel);
  }

  /** The neurons that see an element of the input. */
  neuronSeers(element) {
    return this.neurons.transposed.seen(element);
  }

  /** The pixel index of the centre of a position's nominal field, per pixel axis; NaN where there is none. */
  center(position) {
    checkIndex(position, this.positionShape);
    return this.nominal.center(position, this.pixelShape.length);
  }

  /** Whether a border cuts a position's nominal field. */
  isClipped(position) {
    checkIndex(position, this.positionShape);
    return this.nominal.clipped(position, this.pixelShape);
  }
}
