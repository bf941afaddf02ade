// How a fuzz target starts: libFuzzer calls LLVMFuzzerTestOneInput with inputs of its own; replay_main.cc, for
// compilers without libFuzzer, with the files that it is given.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
