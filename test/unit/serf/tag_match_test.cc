#include "serf/tag_match.h"

#include <doctest/doctest.h>

#include <string>

namespace shoal::serf {
namespace {

TEST_CASE("an expression is searched for anywhere in the value, as RE2 reads it") {
  struct {
    const char *expr, *value;
    bool match;
  } const rows[] = {
      {"side", "sidecar", true},
      {"side", "outside", true},
      {"side", "SIDE", false},
      {"side", "", false},
      {"^side$", "sidecar", false},
      {"^sidecar$", "sidecar", true},
      {"^$", "", true},
      {"^$", "x", false},
      {"", "", true},
      {"", "anything", true},
      {".*", "", true},
      {".", "", false},
      {"a|b", "xbx", true},
      {"a|b", "xcx", false},
      {"(?i)TASK", "task", true},
      {"(?i)TASK", "side", false},
      {"t.sk", "task", true},
      {"ta\\.k", "task", false},
      {"[0-9]{3}", "a123", true},
      {"[0-9]{3}", "a12", false},
      {"task-1", "task-10", true},
      {"a_b", "a_b", true},
      {"(a", "(a", false},
      {"[", "[", false},
      {"*", "*", false},
      {"a\\", "a\\", false},
      {"(?P<n>x)", "x", true},
      {"(a)\\1", "aa", false},
      {"x{1001}", "x", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.expr);
    CAPTURE(row.value);
    CHECK(tag_matches(row.expr, row.value) == row.match);
  }
}

TEST_CASE("a compiled expression says the same, and whether it is one") {
  CHECK(TagExpression("^web-[0-9]+$").matches("web-17"));
  CHECK_FALSE(TagExpression("^web-[0-9]+$").matches("web-x"));
  CHECK(TagExpression("^a|b$").matches("axx"));
  TagExpression moved = TagExpression("x");
  moved = TagExpression("y");
  CHECK((moved.ok() && moved.matches("why")));
  for (const std::string& wrong : {std::string("("), std::string("[z-a]"), std::string(600, 'x')}) {
    CHECK_FALSE(TagExpression(wrong).ok());
    CHECK_FALSE(TagExpression(wrong).matches(wrong));
  }
}

TEST_CASE("expressions made to take for ever end at once, and over-long ones match nothing") {
  CHECK_FALSE(tag_matches("(a+)+$", std::string(500, 'a') + "b"));
  CHECK_FALSE(tag_matches("((a{0,100}){0,100}){0,100}", "a"));  // Over the memory that one expression may take.
  CHECK_FALSE(tag_matches("(" + std::string(512, 'a') + ")|b", "b"));
  CHECK(tag_matches("(" + std::string(500, 'a') + ")|b", "b"));
}

}  // namespace
}  // namespace shoal::serf
