// The digests of some runs, as they are written down in digests.txt. They hold for every compiler; a change of the
// cores changes them, and then `sim digests > test/sim/digests.txt` renews them. What this finds is a build that
// decides otherwise than another: an unspecified order of evaluation, a floating-point decision, memory that was never
// set.
#include "sim/digests.h"

#include <doctest/doctest.h>

#include <cstdio>

namespace shoal::test {
namespace {

std::string file(const char* path) {
  std::string out;
  std::FILE* f = std::fopen(path, "rb");
  if (f == nullptr) return out;
  char memory[4096];
  for (std::size_t n = 0; (n = std::fread(memory, 1, sizeof memory, f)) > 0;) out.append(memory, n);
  static_cast<void>(std::fclose(f));
  return out;
}

TEST_CASE("the digests are those that are written down, whatever compiler built this") {
  CHECK_MESSAGE(digests() == file(SHOAL_DIGESTS), "renew them by: sim digests > test/sim/digests.txt");
}

}  // namespace
}  // namespace shoal::test
