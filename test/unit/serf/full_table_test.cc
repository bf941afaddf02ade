// A node's memory for names and tags is sized for the worst: every member with the longest name and the most tags.
#include <doctest/doctest.h>

#include <string>

#include "support/lone_node.h"

namespace shoal::serf {
namespace {

using test::alive;
using test::dead;
using test::LoneNode;
using test::peer;

std::string longest_name(int round, int i) {
  std::string name = std::to_string(round) + "-" + std::to_string(i) + "-";
  name.resize(swim::kNameBytesMax, 'n');
  return name;
}

std::string most_tags(int round, int i) {
  std::string tags = longest_name(round, i);
  tags.resize(swim::kMetaBytesMax, 't');
  return tags;
}

TEST_CASE(
    "a full table holds the longest names and tags, all different, again and again, and lets go of the forgotten") {
  LoneNode me;
  const int others = static_cast<int>(LoneNode::options().swim.members_max) - 1;
  const std::size_t own = me.texts.size();
  for (int round = 0; round < 5; ++round) {
    CAPTURE(round);
    for (int i = 0; i < others; ++i) {
      me.hear(alive({1, longest_name(round, i), peer(static_cast<std::uint8_t>(i + 2)), most_tags(round, i)}));
    }
    for (int i = 0; i < others; ++i) {
      const Member* member = me.node.members().get(longest_name(round, i));
      REQUIRE(member != nullptr);
      REQUIRE(as_text(member->meta()) == most_tags(round, i));
      REQUIRE(member->endpoint() == peer(static_cast<std::uint8_t>(i + 2)));
    }
    CHECK(me.texts.size() == own + 2 * static_cast<std::size_t>(others));  // Both layers hold the same.
    for (int i = 0; i < others; ++i) me.hear(dead(1, longest_name(round, i), "b"));
  }
  CHECK(me.texts.size_most() <= swim::texts_max(LoneNode::options().swim.members_max));
  // Swim forgets the dead after half a minute, serf after ten.
  me.run_for(2min);
  CHECK(me.node.swim().members().size() == 1);
  CHECK(me.texts.size() == own + 2 * static_cast<std::size_t>(others));
  me.run_for(10min);
  CHECK(me.node.members().size() == 1);
  CHECK(me.texts.size() == own);
}

TEST_CASE("new tags take the place of the old ones, which nobody holds any more") {
  LoneNode me;
  me.know("b", 2);
  const std::size_t before = me.texts.size();
  for (std::uint32_t i = 2; i < 50; ++i) {
    me.hear(alive({i, "b", peer(2), "tags " + std::to_string(i)}));
    REQUIRE(as_text(me.node.members().get("b")->meta()) == "tags " + std::to_string(i));
    REQUIRE(me.texts.size() == before);
  }
}

}  // namespace
}  // namespace shoal::serf
