#include "allocations.h"

#include <cstdlib>
#include <new>

namespace {
std::size_t count = 0;
}  // namespace

// In a file of its own: where the compiler sees malloc behind `new`, it warns of a mismatched delete.
void* operator new(std::size_t size) {
  ++count;
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++count;
  return std::malloc(size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

std::size_t shoal::reactor::allocations() { return count; }
