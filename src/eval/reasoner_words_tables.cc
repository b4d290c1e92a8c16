#include "eval/reasoner_words.h"

namespace ponder::reasoner {
namespace {

using sv = std::string_view;
using enum Change;

// Things that people have.
constexpr sv kThings =
    "apples,marbles,stickers,books,pencils,cards,coins,candies,stamps,shells,oranges,cookies,toys,"
    "balloons,photos,beads";
constexpr sv kThingStarts[] = {"{0} has {3} {2}.",          "{0} starts with {3} {2}.",
                               "At first {0} has {3} {2}.", "There are {3} {2} in {0}'s box.",
                               "{0} collected {3} {2}.",    "{0} had {3} {2}."};
constexpr Event kThingEvents[] = {
    {kAdd, "{6} buys {3} more {2}.", "buys {3}"},
    {kAdd, "{1} gives {0} {3} more.", "gets {3}"},
    {kAdd, "Then {0} finds {3} {2}.", "finds {3}"},
    {kAdd, "{6} wins {3} {2} in a game.", "wins {3}"},
    {kTake, "{6} gives {3} {2} to {1}.", "gives {3}"},
    {kTake, "Then {0} loses {3} of them.", "loses {3}"},
    {kTake, "{6} sells {3} {2}.", "sells {3}"},
    {kTake, "{1} takes {3} of the {2}.", "takes {3}"},
    {kAddGroups, "{6} buys {3} bags with {4} {2} in each bag.", "buys {3} bags with {4}"},
    {kAddGroups, "{0} gets {3} boxes of {4} {2}.", "gets {3} boxes of {4}"},
    {kAddGroups, "{3} friends give {0} {4} {2} each.", "{3} friends give {4}"},
    {kTakeGroups, "{6} gives {4} {2} to each of {3} friends.", "gives {3} friends {4}"},
    {kTakeGroups, "{0} sells {3} packs of {4} {2}.", "sells {3} packs of {4}"},
    {kDouble, "Then the number of {2} doubles.", "doubles"},
    {kDouble, "{6} doubles the collection.", "doubles"},
    {kTriple, "Then the number of {2} triples.", "triples"},
    {kHalve, "{6} gives away half of the {2}.", "half"},
    {kHalve, "Half of the {2} are lost.", "half"},
    {kShare, "{6} shares all the {2} equally among {3} friends.", "shares among {3}"},
    {kShare, "{6} puts all the {2} equally into {3} boxes.", "into {3} boxes"},
};
constexpr sv kThingQuestions[] = {
    "How many {2} does {0} have now?", "How many {2} does {0} have in the end?",
    "How many {2} are there now?",     "How many {2} does {0} have left?",
    "How many does {0} have?",         "Find how many {2} {0} has now."};
constexpr sv kThingShares[] = {"How many does each get?", "How many {2} are in each part?"};

constexpr sv kBusStarts[] = {"A bus starts with {3} passengers.", "There are {3} people on a bus.",
                             "A train leaves with {3} people."};
constexpr Event kBusEvents[] = {
    {kAdd, "At the next stop {3} people get on.", "{3} get on"},
    {kAdd, "Then {3} more get on.", "{3} get on"},
    {kTake, "At the next stop {3} people get off.", "{3} get off"},
    {kTake, "Then {3} people leave.", "{3} leave"},
    {kAddGroups, "{3} groups of {4} people get on.", "{3} groups of {4} get on"},
    {kTakeGroups, "{3} families of {4} get off.", "{3} families of {4} get off"},
    {kHalve, "Half of the people get off.", "half"},
};
constexpr sv kBusQuestions[] = {"How many people are there now?", "How many people are on it now?",
                                "How many people are left?"};

constexpr sv kMoneyStarts[] = {"{0} has {3} dollars.", "{0} has ${3}.", "{0} saved {3} dollars.",
                               "{0} goes shopping with {3} dollars."};
constexpr Event kMoneyEvents[] = {
    {kAdd, "{6} earns {3} dollars.", "earns {3}"},
    {kAdd, "{1} gives {0} {3} dollars.", "gets {3}"},
    {kTake, "{6} spends {3} dollars on lunch.", "spends {3}"},
    {kTake, "{6} pays {3} dollars for a shirt.", "pays {3}"},
    {kTake, "{6} buys a book for {3} dollars.", "pays {3}"},
    {kAddGroups, "{6} works {3} days and earns {4} dollars a day.", "{3} days at {4}"},
    {kAddGroups, "{6} washes {3} cars for {4} dollars each.", "{3} cars at {4}"},
    {kTakeGroups, "{6} buys {3} tickets at {4} dollars each.", "{3} tickets at {4}"},
    {kTakeGroups, "{6} buys {3} pens for {4} dollars each.", "{3} pens at {4}"},
    {kDouble, "{6} doubles the money.", "doubles"},
    {kHalve, "{6} spends half of the money.", "half"},
    {kShare, "{6} splits the money equally between {3} people.", "splits by {3}"},
};
constexpr sv kMoneyQuestions[] = {"How much money does {0} have now?",
                                  "How many dollars does {0} have left?", "How much money is left?",
                                  "How many dollars are left?"};
constexpr sv kMoneyShares[] = {"How many dollars does each person get?", "How much does each get?"};

constexpr sv kWaterStarts[] = {"A tank holds {3} liters of water.",
                               "There are {3} liters of water in a tank.",
                               "A barrel has {3} liters of water."};
constexpr Event kWaterEvents[] = {
    {kAdd, "Then {3} liters are added.", "{3} added"},
    {kAdd, "Rain adds {3} liters.", "rain adds {3}"},
    {kTake, "Then {3} liters leak out.", "{3} leak"},
    {kTake, "{0} uses {3} liters.", "uses {3}"},
    {kAddGroups, "{0} pours in {3} buckets of {4} liters each.", "{3} buckets of {4}"},
    {kTakeGroups, "For {3} days, {4} liters are used each day.", "{3} days, {4} used"},
    {kDouble, "Then the amount doubles.", "doubles"},
    {kHalve, "Then half of the water is used.", "half"},
};
constexpr sv kWaterQuestions[] = {"How many liters are there now?", "How much water is left?",
                                  "How many liters are left in the end?"};

constexpr sv kLibraryStarts[] = {"A library has {3} books.", "A shop has {3} books in stock.",
                                 "A school owns {3} books."};
constexpr Event kLibraryEvents[] = {
    {kAdd, "It buys {3} new books.", "buys {3}"},
    {kAdd, "{3} books are returned.", "{3} returned"},
    {kTake, "{3} books are lent out.", "{3} lent"},
    {kTake, "It gives away {3} books.", "gives {3}"},
    {kAddGroups, "{3} boxes with {4} books each arrive.", "{3} boxes with {4}"},
    {kTakeGroups, "{3} classes borrow {4} books each.", "{3} classes borrow {4}"},
    {kTakeGroups, "It sells {4} books a day for {3} days.", "sells {3} days, {4}"},
    {kShare, "All books are put equally on {3} shelves.", "on {3} shelves"},
};
constexpr sv kLibraryQuestions[] = {"How many books are there now?", "How many books does it have?",
                                    "How many books are left?"};
constexpr sv kLibraryShares[] = {"How many books are on each shelf?"};

constexpr Theme kEnglishThemes[] = {
    {kThings, kThingStarts, "{3} at first", kThingEvents, kThingQuestions, kThingShares},
    {kThings, kThingStarts, "{3} at first", kThingEvents, kThingQuestions, kThingShares},
    {kThings, kThingStarts, "{3} at first", kThingEvents, kThingQuestions, kThingShares},
    {"", kBusStarts, "{3} at first", kBusEvents, kBusQuestions, {}},
    {"", kMoneyStarts, "{3} at first", kMoneyEvents, kMoneyQuestions, kMoneyShares},
    {"", kWaterStarts, "{3} at first", kWaterEvents, kWaterQuestions, {}},
    {"", kLibraryStarts, "{3} at first", kLibraryEvents, kLibraryQuestions, kLibraryShares},
};

constexpr sv kEnglishDistractors[] = {"{1} is {3} years old.",
                                      "It is {3} degrees outside.",
                                      "{1} has {3} {5}.",
                                      "The house has {3} windows.",
                                      "{0} walked {3} kilometers yesterday.",
                                      "There are {3} children in the class.",
                                      "{1} reads {3} pages.",
                                      "The trip takes {3} minutes."};

constexpr Ware kEnglishWares[] = {
    {"pen", "pens"},     {"notebook", "notebooks"}, {"ruler", "rulers"},
    {"cake", "cakes"},   {"ticket", "tickets"},     {"ball", "balls"},
    {"cup", "cups"},     {"hat", "hats"},           {"melon", "melons"},
    {"shirt", "shirts"}, {"lamp", "lamps"},         {"sandwich", "sandwiches"}};

// Chinese things carry their measure word.
constexpr sv kChineseThings =
    "个苹果,颗弹珠,张贴纸,本书,支铅笔,张卡片,枚硬币,颗糖,枚邮票,个贝壳,个橘子,块饼干,个玩具,个气球,"
    "张照"
    "片,颗珠子";
constexpr sv kChineseThingStarts[] = {"{0}有{3}{2}。", "{0}原来有{3}{2}。", "{0}一开始有{3}{2}。",
                                      "{0}的盒子里有{3}{2}。", "{0}收集了{3}{2}。"};
constexpr Event kChineseThingEvents[] = {
    {kAdd, "{6}又买了{3}{2}。", "买了{3}"},
    {kAdd, "{1}又给了{0}{3}{2}。", "得到{3}"},
    {kAdd, "后来{0}又找到{3}{2}。", "找到{3}"},
    {kAdd, "{6}在游戏中赢了{3}{2}。", "赢了{3}"},
    {kTake, "{6}送给{1}{3}{2}。", "送出{3}"},
    {kTake, "后来{0}丢了{3}{2}。", "丢了{3}"},
    {kTake, "{6}卖掉{3}{2}。", "卖掉{3}"},
    {kTake, "{1}拿走了{3}{2}。", "拿走{3}"},
    {kAddGroups, "{6}又买了{3}袋，每袋{4}{2}。", "买了{3}袋每袋{4}"},
    {kAddGroups, "{0}得到{3}盒，每盒{4}{2}。", "得到{3}盒每盒{4}"},
    {kAddGroups, "{3}个朋友每人给了{0}{4}{2}。", "{3}人每人给{4}"},
    {kTakeGroups, "{6}送给{3}个朋友每人{4}{2}。", "送{3}人每人{4}"},
    {kTakeGroups, "{0}卖掉{3}包，每包{4}{2}。", "卖掉{3}包每包{4}"},
    {kDouble, "后来数量变成了原来的2倍。", "变成2倍"},
    {kDouble, "{6}的收藏翻了一倍。", "翻一倍"},
    {kTriple, "后来数量变成了原来的3倍。", "变成3倍"},
    {kHalve, "{6}把其中的一半送人了。", "一半"},
    {kHalve, "后来丢了一半。", "一半"},
    {kShare, "{6}把它们平均分给{3}个朋友。", "平均分给{3}人"},
    {kShare, "{6}把它们平均装进{3}个盒子。", "平均装{3}盒"},
};
constexpr sv kChineseThingQuestions[] = {"{0}现在有多少{2}？", "{0}最后有多少{2}？",
                                         "现在一共有多少{2}？", "{0}还剩多少{2}？",
                                         "请问{0}现在有几{2}？"};
constexpr sv kChineseThingShares[] = {"每份有多少{2}？", "每份是多少？"};

constexpr sv kChineseBusStarts[] = {"一辆公交车上有{3}人。", "车上原来有{3}名乘客。",
                                    "一列火车出发时有{3}人。"};
constexpr Event kChineseBusEvents[] = {
    {kAdd, "下一站上来{3}人。", "上来{3}"},
    {kAdd, "然后又上来{3}人。", "上来{3}"},
    {kTake, "下一站下去{3}人。", "下去{3}"},
    {kTake, "然后有{3}人离开。", "离开{3}"},
    {kAddGroups, "上来{3}组人，每组{4}人。", "上来{3}组每组{4}"},
    {kTakeGroups, "下去{3}家人，每家{4}人。", "下去{3}家每家{4}"},
    {kHalve, "有一半的人下车了。", "一半"},
};
constexpr sv kChineseBusQuestions[] = {"现在车上有多少人？", "车上还剩多少人？", "现在有多少人？"};

constexpr sv kChineseMoneyStarts[] = {"{0}有{3}元。", "{0}有{3}元钱。", "{0}存了{3}元。",
                                      "{0}带了{3}元去买东西。"};
constexpr Event kChineseMoneyEvents[] = {
    {kAdd, "{6}赚了{3}元。", "赚了{3}"},
    {kAdd, "{1}给了{0}{3}元。", "得到{3}"},
    {kTake, "{6}吃午饭花了{3}元。", "花了{3}"},
    {kTake, "{6}买衣服花了{3}元。", "花了{3}"},
    {kTake, "{6}买书用了{3}元。", "用了{3}"},
    {kAddGroups, "{6}工作了{3}天，每天赚{4}元。", "{3}天每天{4}"},
    {kAddGroups, "{6}洗了{3}辆车，每辆收{4}元。", "{3}辆每辆{4}"},
    {kTakeGroups, "{6}买了{3}张票，每张{4}元。", "{3}张每张{4}"},
    {kTakeGroups, "{6}买了{3}支笔，每支{4}元。", "{3}支每支{4}"},
    {kDouble, "{6}的钱翻了一倍。", "翻一倍"},
    {kHalve, "{6}花掉了一半的钱。", "一半"},
    {kShare, "{6}把钱平均分给{3}个人。", "平均分给{3}人"},
};
constexpr sv kChineseMoneyQuestions[] = {"{0}现在有多少元？", "{0}还剩多少元？", "{0}还剩多少钱？",
                                         "还剩多少元？"};
constexpr sv kChineseMoneyShares[] = {"每人分到多少元？", "每个人得到多少钱？"};

constexpr sv kChineseWaterStarts[] = {"水箱里有{3}升水。", "一个水桶里有{3}升水。",
                                      "水池里原来有{3}升水。"};
constexpr Event kChineseWaterEvents[] = {
    {kAdd, "后来加了{3}升。", "加了{3}"},
    {kAdd, "下雨增加了{3}升。", "增加{3}"},
    {kTake, "后来漏掉{3}升。", "漏掉{3}"},
    {kTake, "{0}用了{3}升。", "用了{3}"},
    {kAddGroups, "{0}倒进{3}桶，每桶{4}升。", "倒进{3}桶每桶{4}"},
    {kTakeGroups, "接下来{3}天每天用掉{4}升。", "{3}天每天用{4}"},
    {kDouble, "后来水量翻了一倍。", "翻一倍"},
    {kHalve, "后来用掉了一半。", "一半"},
};
constexpr sv kChineseWaterQuestions[] = {"现在有多少升水？", "还剩多少升水？", "最后有多少升？"};

constexpr sv kChineseLibraryStarts[] = {"图书馆有{3}本书。", "书店里有{3}本书。",
                                        "学校有{3}本书。"};
constexpr Event kChineseLibraryEvents[] = {
    {kAdd, "又买了{3}本新书。", "买了{3}"},
    {kAdd, "有{3}本书还了回来。", "还了{3}"},
    {kTake, "借出了{3}本。", "借出{3}"},
    {kTake, "送出了{3}本。", "送出{3}"},
    {kAddGroups, "运来{3}箱书，每箱{4}本。", "运来{3}箱每箱{4}"},
    {kTakeGroups, "{3}个班每班借走{4}本。", "{3}个班每班借{4}"},
    {kTakeGroups, "{3}天里每天卖出{4}本。", "{3}天每天卖{4}"},
    {kShare, "把所有的书平均放在{3}个书架上。", "平均放{3}个书架"},
};
constexpr sv kChineseLibraryQuestions[] = {"现在有多少本书？", "一共有多少本书？",
                                           "还剩多少本书？"};
constexpr sv kChineseLibraryShares[] = {"每个书架有多少本书？"};

constexpr Theme kChineseThemes[] = {
    {kChineseThings, kChineseThingStarts, "原来{3}", kChineseThingEvents, kChineseThingQuestions,
     kChineseThingShares},
    {kChineseThings, kChineseThingStarts, "原来{3}", kChineseThingEvents, kChineseThingQuestions,
     kChineseThingShares},
    {kChineseThings, kChineseThingStarts, "原来{3}", kChineseThingEvents, kChineseThingQuestions,
     kChineseThingShares},
    {"", kChineseBusStarts, "原来{3}", kChineseBusEvents, kChineseBusQuestions, {}},
    {"", kChineseMoneyStarts, "原来{3}", kChineseMoneyEvents, kChineseMoneyQuestions,
     kChineseMoneyShares},
    {"", kChineseWaterStarts, "原来{3}", kChineseWaterEvents, kChineseWaterQuestions, {}},
    {"", kChineseLibraryStarts, "原来{3}", kChineseLibraryEvents, kChineseLibraryQuestions,
     kChineseLibraryShares},
};

constexpr sv kChineseDistractors[] = {
    "{1}今年{3}岁。",       "外面的气温是{3}度。", "{1}有{3}{5}。",    "房子有{3}扇窗户。",
    "{0}昨天走了{3}公里。", "班里有{3}个孩子。",   "{1}读了{3}页书。", "路上要{3}分钟。"};

constexpr Ware kChineseWares[] = {
    {"支钢笔", "支钢笔"}, {"个本子", "个本子"}, {"把尺子", "把尺子"}, {"块蛋糕", "块蛋糕"},
    {"张票", "张票"},     {"个球", "个球"},     {"个杯子", "个杯子"}, {"顶帽子", "顶帽子"},
    {"个西瓜", "个西瓜"}, {"件衬衫", "件衬衫"}, {"盏台灯", "盏台灯"}, {"个三明治", "个三明治"}};

}  // namespace

std::span<const Theme> themes(Language language) {
  if (language == Language::kEnglish) return kEnglishThemes;
  return kChineseThemes;
}

std::span<const std::string_view> distractors(Language language) {
  if (language == Language::kEnglish) return kEnglishDistractors;
  return kChineseDistractors;
}

std::span<const Ware> wares(Language language) {
  if (language == Language::kEnglish) return kEnglishWares;
  return kChineseWares;
}

}  // namespace ponder::reasoner
