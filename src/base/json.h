// JSON (RFC 8259) for settings, reports and the control socket: a writer that keeps the commas, and a reader that is
// led by what its caller expects, so that no tree of values is built. Both allocate; neither is for the gossip's path.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace shoal {

/// In quotes. Control bytes are escaped; a byte that is no UTF-8 becomes \u00XX, so the result is always valid JSON.
void append_json_text(std::string& out, std::string_view text);

/// Appends to `out`. The caller closes what it opens, and gives a key before each value of an object.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  void begin_object() { open('{'); }
  void end_object() { close('}'); }
  void begin_array() { open('['); }
  void end_array() { close(']'); }
  void key(std::string_view key) {
    comma();
    append_json_text(out_, key);
    out_ += ':';
    comma_ = false;
  }
  void text(std::string_view value) {
    comma();
    append_json_text(out_, value);
  }
  void number(std::int64_t value) {
    comma();
    out_ += std::to_string(value);
  }
  void boolean(bool value) {
    comma();
    out_ += value ? "true" : "false";
  }

  // A key and its value.
  void text(std::string_view key_text, std::string_view value) {
    key(key_text);
    text(value);
  }
  void number(std::string_view key_text, std::int64_t value) {
    key(key_text);
    number(value);
  }
  void boolean(std::string_view key_text, bool value) {
    key(key_text);
    boolean(value);
  }

 private:
  void comma() {
    if (comma_) out_ += ',';
    comma_ = true;
  }
  void open(char c) {
    comma();
    out_ += c;
    comma_ = false;
  }
  void close(char c) {
    out_ += c;
    comma_ = true;
  }

  std::string& out_;
  bool comma_ = false;  // The next key or value has one before it.
};

/// Reads one value from the front of a text. The first failure sticks: after it every call gives false, and what was
/// read before may be half. Trusts nothing: nesting is bounded, numbers are whole ones within the type's limits, bytes
/// of 0x80 and more stand for themselves.
class JsonReader {
 public:
  static constexpr int kDepthMax = 32;

  explicit JsonReader(std::string_view text) : text_(text) {}

  /// Calls on_member(std::string_view key) for each member; that must read its value with exactly one call. A key that
  /// stands there twice is told twice.
  template <typename F>
  bool object(F&& on_member) {
    if (!enter('{')) return false;
    for (bool first = true; ok_ && !take('}'); first = false) {
      if (!first && !expect(',')) break;
      std::string key;
      if (text(key) && expect(':')) on_member(std::string_view(key));
    }
    --depth_;
    return ok_;
  }
  /// Calls on_element() for each element; the same rule.
  template <typename F>
  bool array(F&& on_element) {
    if (!enter('[')) return false;
    for (bool first = true; ok_ && !take(']'); first = false) {
      if (!first && !expect(',')) break;
      on_element();
    }
    --depth_;
    return ok_;
  }
  bool text(std::string& out);
  bool boolean(bool& out);
  template <typename Int>
  bool number(Int& out) {
    static_assert(std::is_integral_v<Int> && sizeof(Int) <= 8 && !std::is_same_v<Int, bool>);
    std::int64_t value = 0;
    if (!whole_number(value)) return false;
    if (!std::in_range<Int>(value)) return fail();
    out = static_cast<Int>(value);
    return true;
  }
  /// Any value.
  bool skip();
  /// Nothing but white space is left, and all went well.
  [[nodiscard]] bool at_end();
  [[nodiscard]] bool ok() const { return ok_; }
  /// For a caller that finds a value wrong. Gives false.
  bool fail() {
    ok_ = false;
    return false;
  }

 private:
  bool enter(char c);
  /// The next byte that is no white space, if it is `c`. Not to find it is no failure.
  bool take(char c);
  bool expect(char c) { return take(c) || fail(); }
  [[nodiscard]] char peek();
  bool word(std::string_view word);
  bool escape(std::string& out);
  bool hex(std::uint32_t& out);
  bool whole_number(std::int64_t& out);
  bool skip_number();

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool ok_ = true;
};

}  // namespace shoal
