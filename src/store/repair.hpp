// SPDX-License-Identifier: Apache-2.0
// What is readable of a damaged database, taken over into a new one.
//
//   <file> is damaged --read--> <file>.repair, one transaction --committed--> <file> is moved to <file>.damaged-<n>,
//   <file>.repair to <file>. A crash before the commit leaves everything as it was; after it, the next open() finishes.
#pragma once

#include <cstdint>
#include <string>

#include "kith/error.hpp"
#include "store/files.hpp"

namespace kith::store {

// Both give the sentence for Loaded::note. Nothing of the old file is lost: it stays, under its other name.
Result<std::string> repair(const Files& files, std::uint64_t seed, const Error& why);
Result<std::string> finish_repair(const Files& files);  // of a process that died; empty: there was none

}  // namespace kith::store
