"""Names of made-up people and schools, each in its own script: names are never transliterated.

Responsible for: lists only. Frequent names of Kazakh, Russian, French and Vietnamese families, so that
pages, sorting and fonts meet what they will meet. Any likeness to living people is chance.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Culture:
    """How one people's families are called. `share`: how many of a hundred families."""

    language: str
    share: int
    girls: tuple[str, ...]
    boys: tuple[str, ...]
    mothers: tuple[str, ...]
    fathers: tuple[str, ...]
    families: tuple[tuple[str, str], ...]  # the women's form, the men's form

    def person(self, index: int, *, woman: bool) -> str:
        names = self.mothers if woman else self.fathers
        return names[index % len(names)]


def _same(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, name) for name in names)


def _endings(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name + "а", name) for name in names)


KAZAKH = Culture(
    language="kk",
    share=52,
    girls=("Айгерім", "Аружан", "Дана", "Әсел", "Томирис", "Инжу", "Кәусар", "Мәдина", "Нұрай", "Аяла"),
    boys=("Әлихан", "Нұрислам", "Ерасыл", "Санжар", "Тимур", "Мирас", "Ғалым", "Айсұлтан", "Дәулет", "Рамазан"),
    mothers=("Сәуле", "Гүлнар", "Айнұр", "Жанар", "Мөлдір", "Ләззат", "Динара", "Шолпан", "Перизат", "Ұлжан"),
    fathers=("Ерлан", "Нұрлан", "Асқар", "Серік", "Данияр", "Қайрат", "Бауыржан", "Мұрат", "Жандос", "Олжас"),
    families=_endings(
        "Ахметов", "Сәрсенов", "Жұмабеков", "Оспанов", "Қасымов", "Нұрғалиев", "Смағұлов", "Төлегенов", "Әбдірахманов",
        "Есенов", "Байжанов", "Искаков",
    ),
)  # fmt: skip
RUSSIAN = Culture(
    language="ru",
    share=34,
    girls=("Софья", "Мария", "Алиса", "Полина", "Варвара", "Ева", "Дарья", "Ксения", "Вероника", "Ульяна"),
    boys=("Артём", "Михаил", "Матвей", "Лев", "Фёдор", "Кирилл", "Семён", "Глеб", "Егор", "Илья"),
    mothers=("Ольга", "Наталья", "Елена", "Ирина", "Светлана", "Юлия", "Татьяна", "Анна"),
    fathers=("Сергей", "Дмитрий", "Алексей", "Андрей", "Павел", "Николай", "Виктор", "Олег"),
    families=_endings("Иванов", "Смирнов", "Кузнецов", "Соловьёв", "Морозов", "Волков", "Лебедев", "Козлов", "Фёдоров"),
)
FRENCH = Culture(
    language="fr",
    share=7,
    girls=("Chloé", "Zoé", "Élise", "Noémie", "Agnès"),
    boys=("Théo", "Loïc", "Gaël", "François", "Éloi"),
    mothers=("Hélène", "Amélie", "Céline", "Solène"),
    fathers=("Jérôme", "Benoît", "Rémi", "Étienne"),
    families=_same("Lefèvre", "Béranger", "D’Hérouville", "Gauthier", "Le Goff"),
)
VIETNAMESE = Culture(
    language="vi",
    share=7,
    girls=("Ngọc Anh", "Thảo Vy", "Minh Châu", "Bảo Ngọc", "Khánh Linh"),
    boys=("Minh Khôi", "Gia Bảo", "Đức Anh", "Hải Đăng", "Quốc Huy"),
    mothers=("Thị Hương", "Thị Lan", "Thu Hà", "Bích Ngọc"),
    fathers=("Văn Hùng", "Quang Dũng", "Đình Phúc", "Hữu Thắng"),
    families=_same("Nguyễn", "Trần", "Phạm", "Đặng", "Vũ"),
)
CULTURES = (KAZAKH, RUSSIAN, FRENCH, VIETNAMESE)

SCHOOLS = (
    ("aigolek", "Ясли-сад «Айгөлек»", "kk"),
    ("solnyshko", "Детский сад «Солнышко»", "ru"),
    ("balapan", "Балабақша «Балапан»", "kk"),
    ("romashka", "Детский сад «Ромашка»", "ru"),
    ("botaqan", "Балабақша «Ботақан»", "kk"),
    ("teremok", "Детский сад «Теремок»", "ru"),
    ("nursaule", "Балабақша «Нұрсәуле»", "kk"),
    ("zvezdochka", "Детский сад «Звёздочка»", "ru"),
)
CLASSES = ("Қарлығаш", "Ландыш", "Құлыншақ", "Бельчата", "Жұлдыз", "Тюльпан", "Көбелек", "Снегири", "Раушан", "Пчёлки")
GATES = ("front", "garden", "east", "service", "north", "west", "kitchen", "hall")
