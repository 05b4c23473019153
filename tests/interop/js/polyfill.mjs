// SPDX-License-Identifier: Apache-2.0
// js-libp2p 3.3 targets Node 22; Debian and CI have Node 20. The only thing missing there is Promise.withResolvers.
if (Promise.withResolvers === undefined) {
  Promise.withResolvers = function () {
    let resolve, reject
    const promise = new this((res, rej) => {
      resolve = res
      reject = rej
    })
    return { promise, resolve, reject }
  }
}
