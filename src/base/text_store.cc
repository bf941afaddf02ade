#include "base/text_store.h"

#include <cstring>

// A view of a text that nobody holds any more is as bad as one of freed memory: let the sanitizer say so.
#if defined(__SANITIZE_ADDRESS__)
#define SHOAL_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SHOAL_POISONS 1
#endif
#endif
#if defined(SHOAL_POISONS)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(begin, size) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(begin, size) static_cast<void>(0)
#endif

namespace shoal {

TextStore::Place* TextStore::Shelf::at(std::uint32_t number) const {
  return reinterpret_cast<Place*>(memory_.bytes().data() + number * (sizeof(Place) + text_bytes_));
}

std::uint32_t TextStore::Shelf::take() {
  if (free_ == NameIndex::kNone) {
    ::new (static_cast<void*>(at(used_))) Place{};
    return used_++;
  }
  const std::uint32_t number = free_;
  free_ = at(number)->id;
  ASAN_UNPOISON_MEMORY_REGION(at(number)->text(), text_bytes_);
  return number;
}

void TextStore::Shelf::give_back(std::uint32_t number) {
  at(number)->id = free_;
  free_ = number;
  ASAN_POISON_MEMORY_REGION(at(number)->text(), text_bytes_);
}

TextStore::TextStore(std::size_t texts_max, std::uint64_t hash_seed)
    : texts_max_(texts_max),
      shelves_{Shelf(texts_max, kSizes[0]), Shelf(texts_max, kSizes[1]), Shelf(texts_max, kSizes[2]),
               Shelf(texts_max, kSizes[3])},
      index_(texts_max, hash_seed) {
  static_assert((sizeof(Place) + kSizes[0]) % alignof(Place) == 0 && kSizes[0] % 8 == 0 && kSizes[1] % 8 == 0 &&
                kSizes[2] % 8 == 0 && kSizes[3] % 8 == 0);
  SHOAL_ASSERT(texts_max < (std::size_t{1} << kShelfShift) - 1);
}

TextStore::~TextStore() { SHOAL_ASSERT(size() == 0); }

Text TextStore::intern(std::string_view text) {
  if (text.empty()) return {};
  SHOAL_ASSERT(text.size() <= kTextBytesMax);
  const auto text_of = [this](std::uint32_t id) { return std::string_view(at(id)->text(), at(id)->size); };
  if (const std::uint32_t known = index_.find(text, text_of); known != NameIndex::kNone) return Text(at(known));
  SHOAL_ASSERT(size() < texts_max_);
  std::uint32_t shelf = 0;
  while (text.size() > kSizes[shelf]) ++shelf;
  const std::uint32_t id = shelf << kShelfShift | shelves_[shelf].take();
  Place* place = at(id);
  *place = {this, 0, id, static_cast<std::uint32_t>(text.size())};
  std::memcpy(place->text(), text.data(), text.size());
  index_.insert(text, id);
  size_most_ = size() > size_most_ ? size() : size_most_;
  return Text(place);
}

void TextStore::forget(Place* place) {
  const std::uint32_t id = place->id;
  const auto text_of = [this](std::uint32_t other) { return std::string_view(at(other)->text(), at(other)->size); };
  index_.erase(std::string_view(place->text(), place->size), text_of);
  shelves_[id >> kShelfShift].give_back(id & ((1U << kShelfShift) - 1));
}

}  // namespace shoal
