// Short texts that many hold and nobody changes: names, and what nodes say of themselves. Equal ones are kept once, for
// as long as somebody holds them. A text costs its holder a pointer.
//
// All memory is reserved when the store is made and touched only as it is used: places of four sizes, so many of each
// that every text may have the same one. So a store that is large enough for the number of texts is large enough for
// any texts, and nothing is ever moved or in pieces.
//
// One store serves all who should share: both gossip layers of a process, all nodes of a simulation. For one thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/containers.h"

namespace shoal {

class TextStore;

/// Holds one text of a store; copies hold the same one. The default is the empty text, of no store.
class Text {
 public:
  Text() = default;
  Text(const Text& other) : place_(other.place_) { hold(); }
  Text(Text&& other) noexcept : place_(std::exchange(other.place_, nullptr)) {}
  Text& operator=(Text other) noexcept {
    std::swap(place_, other.place_);
    return *this;
  }
  ~Text() { let_go(); }

  /// Good for as long as any Text holds the same.
  [[nodiscard]] std::string_view view() const;
  operator std::string_view() const { return view(); }  // NOLINT: a text is a view of itself
  [[nodiscard]] Bytes bytes() const { return as_bytes(view()); }
  [[nodiscard]] bool empty() const { return place_ == nullptr; }
  [[nodiscard]] std::size_t size() const { return view().size(); }
  friend bool operator==(const Text& a, std::string_view b) { return a.view() == b; }
  friend bool operator==(const Text& a, const Text& b) { return a.place_ == b.place_ || a.view() == b.view(); }

 private:
  friend class TextStore;
  struct Place {
    TextStore* store;
    std::uint32_t holders;
    std::uint32_t id;  // In the store's index; the next free one while nobody holds it.
    std::uint32_t size;
    [[nodiscard]] char* text() { return reinterpret_cast<char*>(this + 1); }
  };
  explicit Text(Place* place) : place_(place) { hold(); }
  void hold() {
    if (place_ != nullptr) ++place_->holders;
  }
  void let_go();

  Place* place_ = nullptr;
};

class TextStore {
 public:
  static constexpr std::size_t kTextBytesMax = 616;

  /// Room for `texts_max` different texts at once, of any length. `hash_seed`: chance that nobody outside can guess.
  explicit TextStore(std::size_t texts_max, std::uint64_t hash_seed = 0);
  /// REQUIRES: nobody holds any text.
  ~TextStore();
  TextStore(const TextStore&) = delete;
  TextStore& operator=(const TextStore&) = delete;

  /// REQUIRES: at most kTextBytesMax; there is room, or somebody holds the same text.
  [[nodiscard]] Text intern(std::string_view text);

  /// How many different texts are held now, and were at most.
  [[nodiscard]] std::size_t size() const { return index_.size(); }
  [[nodiscard]] std::size_t size_most() const { return size_most_; }
  [[nodiscard]] std::size_t capacity() const { return texts_max_; }

 private:
  friend class Text;
  using Place = Text::Place;

  /// Places of one size.
  class Shelf {
   public:
    Shelf(std::size_t texts_max, std::size_t text_bytes)
        : text_bytes_(text_bytes), memory_(texts_max * (sizeof(Place) + text_bytes)) {}
    [[nodiscard]] std::size_t text_bytes() const { return text_bytes_; }
    [[nodiscard]] Place* at(std::uint32_t number) const;
    /// The number of a place that is free.
    std::uint32_t take();
    void give_back(std::uint32_t number);

   private:
    std::size_t text_bytes_;
    mutable Buffer memory_;  // Mutable: a Buffer lends its bytes for writing only.
    std::uint32_t used_ = 0;
    std::uint32_t free_ = NameIndex::kNone;
  };
  // With its place each is 64, 128, 256 or 640 bytes: a name, a node with few tags, with some, with all it may have.
  static constexpr std::array<std::size_t, 4> kSizes{40, 104, 232, kTextBytesMax};
  static constexpr std::uint32_t kShelfShift = 30;  // An id is the shelf's number, then the place's.

  [[nodiscard]] Place* at(std::uint32_t id) const {
    return shelves_[id >> kShelfShift].at(id & ((1U << kShelfShift) - 1));
  }
  void forget(Place* place);

  std::size_t texts_max_;
  std::size_t size_most_ = 0;
  std::array<Shelf, kSizes.size()> shelves_;
  NameIndex index_;
};

inline std::string_view Text::view() const {
  return place_ == nullptr ? std::string_view() : std::string_view(place_->text(), place_->size);
}

inline void Text::let_go() {
  if (place_ != nullptr && --place_->holders == 0) place_->store->forget(place_);
}

}  // namespace shoal
