from app.services.wording import say


def test_outside_a_page_sentences_are_english_with_their_values_filled_in():
    assert say("At most %(longest)d characters fit here.", longest=7) == "At most 7 characters fit here."
    assert say("100 % sure") == "100 % sure"


def test_on_a_page_a_sentence_of_a_service_goes_through_the_readers_catalogue(app):
    with app.test_request_context(headers={"Accept-Language": "en"}):
        assert say("At most %(longest)d characters fit here.", longest=7) == "At most 7 characters fit here."
