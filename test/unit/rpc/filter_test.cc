#include "rpc/filter.h"

#include <doctest/doctest.h>

namespace shoal::rpc {
namespace {

TEST_CASE("a filter takes kinds, names of events and queries, and everything") {
  const auto filter = EventFilter::parse("member-join,user:deploy,query");
  REQUIRE(filter);
  CHECK(filter->matches(EventKind::kMemberJoin, ""));
  CHECK_FALSE(filter->matches(EventKind::kMemberLeave, ""));
  CHECK(filter->matches(EventKind::kUser, "deploy"));
  CHECK_FALSE(filter->matches(EventKind::kUser, "other"));
  CHECK(filter->matches(EventKind::kQuery, "anything"));
  for (const char* all : {"", "*", "user:x,*"}) {
    CAPTURE(all);
    REQUIRE(EventFilter::parse(all));
    CHECK(EventFilter::parse(all)->matches(EventKind::kMemberReap, ""));
  }
}

TEST_CASE("what serf does not know is no filter") {
  for (const char* wrong : {"member", "MEMBER-JOIN", "user:a,,query", "member-join:x", "*:x", " user", "user, query"}) {
    CAPTURE(wrong);
    CHECK_FALSE(EventFilter::parse(wrong));
  }
  std::string many = "user";
  for (std::size_t i = 1; i < EventFilter::kWordsMax; ++i) many += ",user";
  CHECK(EventFilter::parse(many));
  CHECK_FALSE(EventFilter::parse(many + ",user"));
}

}  // namespace
}  // namespace shoal::rpc
