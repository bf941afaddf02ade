// Chance from one seed, the same numbers on every platform and compiler (no <random> distributions, which differ).
// Every core gets its own Rng in its constructor; nothing else in a core is random. Not for keys or nonces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/hash.h"
#include "base/time.h"

namespace shoal {

/// xoshiro256** (Blackman and Vigna), seeded through splitmix64.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) {
    for (std::uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15ULL;
      word = mix64(seed);
    }
  }

  std::uint64_t next() {
    const std::uint64_t result = rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotl(state_[3], 45);
    return result;
  }
  /// Uniform in [0, bound); 0 when bound is 0.
  std::uint64_t below(std::uint64_t bound) {
    if (bound == 0) return 0;
    const std::uint64_t threshold = (0 - bound) % bound;  // Reject the few values that would make it uneven.
    for (;;) {
      const std::uint64_t value = next();
      if (value >= threshold) return value % bound;
    }
  }
  /// Uniform in [0, d); zero for d <= 0.
  Duration below(Duration d) {
    return d.count() <= 0 ? Duration{}
                          : Duration(static_cast<std::int64_t>(below(static_cast<std::uint64_t>(d.count()))));
  }
  /// Between 75 % and 125 % of d: the jitter that every retry carries.
  Duration jittered(Duration d) { return d - d / 4 + below(d / 2); }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  /// True with the given chance in a million.
  bool chance_ppm(std::uint32_t ppm) { return below(std::uint64_t{1'000'000}) < ppm; }

  template <typename T>
  void shuffle(std::span<T> values) {
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(std::uint64_t{i})]);
  }
  /// A generator for somebody else, independent of what this one gives afterwards.
  Rng fork() { return Rng(next()); }

 private:
  static constexpr std::uint64_t rotl(std::uint64_t x, int k) { return x << k | x >> (64 - k); }
  std::uint64_t state_[4] = {};
};

}  // namespace shoal
