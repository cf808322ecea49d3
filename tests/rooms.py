"""The rooms as browsers meet them: browsers that keep cookies, find forms and send them."""
