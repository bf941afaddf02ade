#include "support/allocation_counter.h"

#include <cstdlib>
#include <new>

namespace {

std::uint64_t count = 0;
int depth = 0;

void* counted(std::size_t size) {
  if (depth > 0) ++count;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace shoal::test {

std::uint64_t allocations() { return count; }
Counting::Counting() { ++depth; }
Counting::~Counting() { --depth; }

}  // namespace shoal::test
