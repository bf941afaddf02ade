// A value or the reason why there is none. For what the system or the operator got wrong; a bad packet is a Verdict,
// our own bug is a SHOAL_ASSERT.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/check.h"

namespace shoal {

/// Why something failed, in words for the person who has to mend it.
struct Error {
  int code = 0;         // errno where the system said no; otherwise 0.
  std::string message;  // Names the thing, what was tried, and the fix where one is known.
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

  [[nodiscard]] bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  T& value() {
    SHOAL_ASSERT(ok());
    return *value_;
  }
  const T& value() const {
    SHOAL_ASSERT(ok());
    return *value_;
  }
  T& operator*() { return value(); }
  T* operator->() { return &value(); }
  [[nodiscard]] const Error& error() const {
    SHOAL_ASSERT(!ok());
    return error_;
  }

 private:
  std::optional<T> value_;
  Error error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose
  [[nodiscard]] bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] const Error& error() const {
    SHOAL_ASSERT(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace shoal
