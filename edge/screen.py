"""The gate's few sentences, in five languages: the only text for people in this house.

Responsible for: a title and a line for each key of feedback.Words; the words of a claim.
Not responsible for: choosing the key (feedback.py), drawing (web/).
Obeys: ARCHITECTURE rule 10; UX "the gate's answer" (what to do, never an accusation; no names exist on a gate).
"""

from __future__ import annotations

from typing import NamedTuple

from edge.feedback import Words


class Said(NamedTuple):
    title: str
    line: str


def say(words: Words, language: str, seconds: int | None = None) -> Said:
    """Return title and line in this language; a language unknown to the gate reads English."""
    title, line = SENTENCES.get(language, SENTENCES["en"])[words]
    return Said(title, line.format(seconds=seconds if seconds is not None else 0))


_FR = {
    Words.SHOW_CODE: ("Montrez votre code", "Tenez le téléphone à 20 cm de la caméra"),
    Words.HOLD_STILL: ("Lecture…", "Ne bougez plus"),
    Words.WELCOME: ("Bienvenue", "Bonne journée !"),
    Words.GOODBYE: ("Au revoir", "À bientôt !"),
    Words.MOMENT: ("Un instant", "Un membre de l’équipe arrive"),
    Words.ONE_CODE: ("Un seul code", "Montrez un téléphone à la fois"),
    Words.PHONE_CLOCK: ("Un instant", "L’heure du téléphone avance de {seconds} s : rouvrez la page"),
    Words.GATE_CLOCK: ("Un instant", "Un membre de l’équipe arrive"),
    Words.OFFICE: ("Passez au bureau", "Merci de vous adresser au bureau"),
    Words.OPEN_AGAIN: ("Rouvrez la page", "Rouvrez la page du pass et montrez le nouveau code"),
    Words.NOT_A_PASS: ("Ce n’est pas un pass", "Montrez le code de la page du pass"),
    Words.NOT_KNOWN: ("Code non reconnu", "Rouvrez la page du pass, ou sonnez"),
    Words.OTHER_SCHOOL: ("Autre école", "Ce pass est celui d’une autre école"),
    Words.OTHER_GATE: ("Autre entrée", "Ce code est pour une autre entrée"),
    Words.CLOSED: ("C’est fermé", "Sonnez, s’il vous plaît"),
    Words.LOCKDOWN: ("L’entrée est bloquée", "Suivez les consignes de l’équipe"),
    Words.EVACUATE: ("Évacuation", "Sortez dans le calme, suivez l’équipe"),
    Words.DOOR_OPEN: ("La porte est ouverte", "Entrez ou sortez"),
    Words.DECLINED: ("Passez au bureau", "Merci de vous adresser au bureau"),
    Words.NOTHING_WAITS: ("Rien n’attend", "Montrez d’abord le code de la famille"),
    Words.RING: ("Sonnez, s’il vous plaît", "Cette entrée est hors service"),
    Words.DIGITS: ("À taper sur la tablette", "Ces quatre chiffres ouvrent le service, une seule fois"),
}
_EN = {
    Words.SHOW_CODE: ("Show your code", "Hold the phone 20 cm from the camera"),
    Words.HOLD_STILL: ("Hold still", "Reading…"),
    Words.WELCOME: ("Welcome", "Have a good day!"),
    Words.GOODBYE: ("Goodbye", "See you soon!"),
    Words.MOMENT: ("One moment", "Someone is coming"),
    Words.ONE_CODE: ("One code, please", "Show one phone at a time"),
    Words.PHONE_CLOCK: ("One moment", "The phone’s clock is {seconds} s ahead: open the page again"),
    Words.GATE_CLOCK: ("One moment", "Someone is coming"),
    Words.OFFICE: ("Please see the office", "They will help you there"),
    Words.OPEN_AGAIN: ("Open the page again", "Open your pass again and show the new code"),
    Words.NOT_A_PASS: ("This is not a pass", "Show the code of your pass page"),
    Words.NOT_KNOWN: ("Code not recognised", "Open your pass again, or ring"),
    Words.OTHER_SCHOOL: ("Another school", "This pass belongs to another school"),
    Words.OTHER_GATE: ("Another gate", "This code is for another gate"),
    Words.CLOSED: ("We are closed", "Please ring"),
    Words.LOCKDOWN: ("The gate is locked", "Please do as the staff say"),
    Words.EVACUATE: ("Evacuation", "Leave calmly, follow the staff"),
    Words.DOOR_OPEN: ("The door is open", "Come in or go out"),
    Words.DECLINED: ("Please see the office", "They will help you there"),
    Words.NOTHING_WAITS: ("Nothing waits", "Show the family’s code first"),
    Words.RING: ("Please ring", "This gate is out of order"),
    Words.DIGITS: ("Type this on the tablet", "These four digits open the shift, once"),
}
_RU = {
    Words.SHOW_CODE: ("Покажите код", "Держите телефон в 20 см от камеры"),
    Words.HOLD_STILL: ("Читаем…", "Не двигайте телефон"),
    Words.WELCOME: ("Добро пожаловать", "Хорошего дня!"),
    Words.GOODBYE: ("До свидания", "До встречи!"),
    Words.MOMENT: ("Одну минуту", "К вам подойдёт сотрудник"),
    Words.ONE_CODE: ("Один код", "Показывайте один телефон за раз"),
    Words.PHONE_CLOCK: ("Одну минуту", "Часы телефона спешат на {seconds} с: откройте страницу снова"),
    Words.GATE_CLOCK: ("Одну минуту", "К вам подойдёт сотрудник"),
    Words.OFFICE: ("Пройдите в канцелярию", "Там вам помогут"),
    Words.OPEN_AGAIN: ("Откройте страницу снова", "Откройте пропуск и покажите новый код"),
    Words.NOT_A_PASS: ("Это не пропуск", "Покажите код со страницы пропуска"),
    Words.NOT_KNOWN: ("Код не распознан", "Откройте пропуск снова или позвоните"),
    Words.OTHER_SCHOOL: ("Другая школа", "Это пропуск другой школы"),
    Words.OTHER_GATE: ("Другой вход", "Этот код для другого входа"),
    Words.CLOSED: ("Закрыто", "Пожалуйста, позвоните"),
    Words.LOCKDOWN: ("Вход заблокирован", "Следуйте указаниям сотрудников"),
    Words.EVACUATE: ("Эвакуация", "Выходите спокойно, следуйте за сотрудниками"),
    Words.DOOR_OPEN: ("Дверь открыта", "Входите и выходите"),
    Words.DECLINED: ("Пройдите в канцелярию", "Там вам помогут"),
    Words.NOTHING_WAITS: ("Никто не ждёт", "Сначала покажите код семьи"),
    Words.RING: ("Пожалуйста, позвоните", "Этот вход не работает"),
    Words.DIGITS: ("Введите на планшете", "Эти четыре цифры открывают смену, один раз"),
}
_KK = {
    Words.SHOW_CODE: ("Кодты көрсетіңіз", "Телефонды камерадан 20 см жерде ұстаңыз"),
    Words.HOLD_STILL: ("Оқылуда…", "Телефонды қозғалтпаңыз"),
    Words.WELCOME: ("Қош келдіңіз", "Күніңіз сәтті өтсін!"),
    Words.GOODBYE: ("Сау болыңыз", "Кездескенше!"),
    Words.MOMENT: ("Бір сәт", "Қызметкер келе жатыр"),
    Words.ONE_CODE: ("Бір ғана код", "Бір мезгілде бір телефон көрсетіңіз"),
    Words.PHONE_CLOCK: ("Бір сәт", "Телефон сағаты {seconds} с алда: бетті қайта ашыңыз"),
    Words.GATE_CLOCK: ("Бір сәт", "Қызметкер келе жатыр"),
    Words.OFFICE: ("Кеңсеге барыңыз", "Сол жерде көмектеседі"),
    Words.OPEN_AGAIN: ("Бетті қайта ашыңыз", "Рұқсатнаманы қайта ашып, жаңа кодты көрсетіңіз"),
    Words.NOT_A_PASS: ("Бұл рұқсатнама емес", "Рұқсатнама бетіндегі кодты көрсетіңіз"),
    Words.NOT_KNOWN: ("Код танылмады", "Рұқсатнаманы қайта ашыңыз немесе қоңырау басыңыз"),
    Words.OTHER_SCHOOL: ("Басқа мектеп", "Бұл басқа мектептің рұқсатнамасы"),
    Words.OTHER_GATE: ("Басқа кіреберіс", "Бұл код басқа кіреберіске арналған"),
    Words.CLOSED: ("Жабық", "Қоңырау басыңыз"),
    Words.LOCKDOWN: ("Кіреберіс бұғатталған", "Қызметкерлердің нұсқауын орындаңыз"),
    Words.EVACUATE: ("Эвакуация", "Сабырмен шығып, қызметкерлердің соңынан еріңіз"),
    Words.DOOR_OPEN: ("Есік ашық", "Кіріп-шыға беріңіз"),
    Words.DECLINED: ("Кеңсеге барыңыз", "Сол жерде көмектеседі"),
    Words.NOTHING_WAITS: ("Ешкім күтіп тұрған жоқ", "Алдымен отбасының кодын көрсетіңіз"),
    Words.RING: ("Қоңырау басыңыз", "Бұл кіреберіс істемейді"),
    Words.DIGITS: ("Планшетке теріңіз", "Осы төрт сан ауысымды бір рет ашады"),
}
_VI = {
    Words.SHOW_CODE: ("Đưa mã của bạn ra", "Giữ điện thoại cách camera 20 cm"),
    Words.HOLD_STILL: ("Đang đọc…", "Giữ yên điện thoại"),
    Words.WELCOME: ("Chào mừng", "Chúc một ngày tốt lành!"),
    Words.GOODBYE: ("Tạm biệt", "Hẹn gặp lại!"),
    Words.MOMENT: ("Xin chờ một chút", "Nhân viên đang đến"),
    Words.ONE_CODE: ("Chỉ một mã", "Mỗi lần chỉ đưa một điện thoại"),
    Words.PHONE_CLOCK: ("Xin chờ một chút", "Đồng hồ điện thoại nhanh {seconds} giây: hãy mở lại trang"),
    Words.GATE_CLOCK: ("Xin chờ một chút", "Nhân viên đang đến"),
    Words.OFFICE: ("Mời đến văn phòng", "Văn phòng sẽ giúp bạn"),
    Words.OPEN_AGAIN: ("Hãy mở lại trang", "Mở lại thẻ và đưa mã mới"),
    Words.NOT_A_PASS: ("Đây không phải thẻ", "Đưa mã trên trang thẻ của bạn"),
    Words.NOT_KNOWN: ("Không nhận ra mã", "Hãy mở lại thẻ, hoặc bấm chuông"),
    Words.OTHER_SCHOOL: ("Trường khác", "Thẻ này của một trường khác"),
    Words.OTHER_GATE: ("Cổng khác", "Mã này dành cho cổng khác"),
    Words.CLOSED: ("Đã đóng cửa", "Xin bấm chuông"),
    Words.LOCKDOWN: ("Cổng đang khóa", "Hãy làm theo hướng dẫn của nhân viên"),
    Words.EVACUATE: ("Sơ tán", "Bình tĩnh ra ngoài, đi theo nhân viên"),
    Words.DOOR_OPEN: ("Cửa đang mở", "Mời vào hoặc ra"),
    Words.DECLINED: ("Mời đến văn phòng", "Văn phòng sẽ giúp bạn"),
    Words.NOTHING_WAITS: ("Không có ai đang chờ", "Hãy đưa mã của gia đình trước"),
    Words.RING: ("Xin bấm chuông", "Cổng này đang hỏng"),
    Words.DIGITS: ("Nhập vào máy tính bảng", "Bốn chữ số này mở ca trực, một lần"),
}

SENTENCES: dict[str, dict[Words, tuple[str, str]]] = {"fr": _FR, "en": _EN, "ru": _RU, "kk": _KK, "vi": _VI}


class ClaimWords(NamedTuple):
    """What the page of a claim says. states: what goes on now, by the state's code; another code stands as it is."""

    scan: str
    compare: str
    states: dict[str, str]


def claim_words(language: str) -> ClaimWords:
    """Return the words of a gate that has no name yet."""
    return CLAIM.get(language, CLAIM["en"])


_STATES = ("asking", "waiting", "signing", "no_answer", "done")
CLAIM: dict[str, ClaimWords] = {
    "fr": ClaimWords(
        "Opérateur : scannez ce code, ou tapez ces mots :", "Comparez l’empreinte avant d’approuver :",
        dict(zip(_STATES, ("Connexion…", "En attente de l’approbation", "Approuvé : signature du certificat…",
                           "Le serveur ne répond pas : vérifiez le réseau", "C’est fait : l’entrée démarre"),
                 strict=True)),
    ),
    "en": ClaimWords(
        "Operator: scan this code, or type these words:", "Compare the fingerprint before you approve:",
        dict(zip(_STATES, ("Connecting…", "Waiting for approval", "Approved: the certificate is being signed…",
                           "The server does not answer: check the network", "Done: the gate is starting"),
                 strict=True)),
    ),
    "ru": ClaimWords(
        "Оператор: отсканируйте код или введите слова:", "Сравните отпечаток, прежде чем одобрить:",
        dict(zip(_STATES, ("Соединение…", "Ожидает одобрения", "Одобрено: подписывается сертификат…",
                           "Сервер не отвечает: проверьте сеть", "Готово: вход запускается"), strict=True)),
    ),
    "kk": ClaimWords(
        "Оператор: кодты сканерлеңіз немесе сөздерді теріңіз:", "Мақұлдамас бұрын таңбаны салыстырыңыз:",
        dict(zip(_STATES, ("Қосылуда…", "Мақұлдауды күтуде", "Мақұлданды: сертификатқа қол қойылуда…",
                           "Сервер жауап бермейді: желіні тексеріңіз", "Дайын: кіреберіс іске қосылуда"), strict=True)),
    ),
    "vi": ClaimWords(
        "Người vận hành: quét mã này hoặc gõ các từ:", "So sánh dấu vân tay trước khi phê duyệt:",
        dict(zip(_STATES, ("Đang kết nối…", "Đang chờ phê duyệt", "Đã phê duyệt: đang ký chứng chỉ…",
                           "Máy chủ không trả lời: kiểm tra mạng", "Xong: cổng đang khởi động"), strict=True)),
    ),
}  # fmt: skip
